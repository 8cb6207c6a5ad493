//! Promise: every command does what its help says, for people and for programs.

use dormouse_tests::Options;

super::shown_in_python! { "cli_promises" on Options::default() =>
    init_deploy_invoke,
    deploy_changes_what_differs,
    invoke_in_all_its_forms,
    logs_are_printed_and_followed,
    a_follower_does_not_hold_up_a_stop,
    events_are_listed_redriven_and_dropped,
    functions_and_usage,
    accounts_see_nothing_of_each_other,
    keys_come_and_go,
    the_host_is_described,
    backup_and_restore,
}
