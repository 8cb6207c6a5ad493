//! Promise: code written for Lambda is kept, run when it is called, and answered.

use dormouse_tests::Options;

super::shown_in_python! { "functions" on Options::default() =>
    create_and_invoke_python,
    create_and_invoke_nodejs,
    configuration_is_kept,
    update_code_and_configuration,
    list_and_delete,
    versions_are_immutable,
    aliases_route,
    tags_are_kept,
    invocation_types,
    errors_of_user_code,
    instances_are_reused_and_expire,
    reserved_concurrency_is_exact,
    bad_requests_are_refused,
    the_sdk_calls_back,
    code_acts_under_its_role,
    a_sandbox_has_so_many_connections_to_the_platform,
}
