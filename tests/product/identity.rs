//! Promise: nothing is allowed that no one granted.

use dormouse_tests::Options;

super::shown_in_python! { "identity" on Options::default() =>
    who_am_i,
    bad_signatures_are_refused,
    a_user_may_what_its_policies_say,
    roles_are_assumed_by_whom_they_trust,
    iam_keeps_what_it_is_told,
    signatures_of_every_form,
    skewed_clocks_are_refused,
}
