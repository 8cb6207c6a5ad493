//! Promise: code reaches what its function's tag grants, and nothing else; what was refused is said.

mod as_the_user_who_runs_the_tests {
    use dormouse_tests::Options;

    crate::shown_in_python! { "egress" on Options::default() =>
        nothing_is_granted_out_of_the_box,
        a_listed_address_is_reached,
        localhost_is_the_loopback_of_the_host,
        everything_is_not_what_is_private,
        a_name_leads_where_the_host_says,
        a_grant_that_is_taken_back_is_gone,
        the_platforms_own_port_stays_the_platforms,
        a_flood_of_refusals_is_a_few_lines,
    }
}

mod as_an_ordinary_user {
    use dormouse_tests::Options;

    crate::shown_in_python! { "egress" on Options::default().ordinary() =>
        nothing_is_granted_out_of_the_box,
        a_listed_address_is_reached,
        everything_is_not_what_is_private,
        a_name_leads_where_the_host_says,
    }
}
