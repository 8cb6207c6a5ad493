//! Promise: a function gets its own machine and nothing of anybody else's, whoever runs the platform.

mod as_the_user_who_runs_the_tests {
    use dormouse_tests::Options;

    crate::shown_in_python! { "isolation" on Options::default() =>
        it_sees_only_itself,
        files_of_the_host_are_out_of_reach,
        only_tmp_can_be_written,
        the_disk_is_bounded,
        processes_are_bounded,
        what_it_forked_is_gone_after_a_timeout,
        kernel_interfaces_are_refused,
        the_network_is_closed,
        one_function_cannot_see_another,
        misbehaving_runtimes_are_contained,
        closing_everything_hurts_only_itself,
        a_neighbour_keeps_answering,
    }
}

mod as_an_ordinary_user {
    use dormouse_tests::Options;

    crate::shown_in_python! { "isolation" on Options::default().ordinary() =>
        it_sees_only_itself,
        files_of_the_host_are_out_of_reach,
        only_tmp_can_be_written,
        the_disk_is_bounded,
        what_it_forked_is_gone_after_a_timeout,
        kernel_interfaces_are_refused,
        the_network_is_closed,
        one_function_cannot_see_another,
        misbehaving_runtimes_are_contained,
        closing_everything_hurts_only_itself,
    }
}
