//! `docs/status.md`: what is built, said by the operation table itself.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::services;
use crate::table::{Protocol, ServiceId};

/// One line of the checked-in list of tests: the operation of a service and the test that shows it.
pub type Shown = (ServiceId, String, String);

/// Names of the operations of a service that are built.
pub fn built(service: ServiceId) -> BTreeSet<&'static str> {
    let mut names: BTreeSet<_> = services::rows(service).iter().map(|row| row.operation).collect();
    if service == ServiceId::Lambda {
        names.extend([services::lambda::invoke::INVOKE, services::lambda::invoke::INVOKE_ASYNC]);
    }
    names
}

/// The document. An operation without a test says so.
pub fn render(shown: &[Shown]) -> String {
    let mut text = String::from(
        "# Status\n\n\
         Which operations of the AWS services are built, and the test that shows each. Everything else in a service's model\n\
         answers with status 501 and `NotImplementedException`. Written from the operation table by\n\
         `DORMOUSE_TEST_WRITE_GOLDEN=1 cargo test -p dormouse-edge-aws --test status`; a test fails when it is not up to date.\n",
    );
    for service in ServiceId::ALL {
        render_service(&mut text, service, shown);
    }
    text
}

fn render_service(text: &mut String, service: ServiceId, shown: &[Shown]) {
    let (table, built) = (service.table(), built(service));
    let protocol = match table.protocol {
        Protocol::RestJson => "rest-json",
        Protocol::Query => "query",
    };
    let (have, all) = (built.len(), table.operations.len());
    let _ = write!(text, "\n## {}, {}, {protocol}: {have} of {all} operations\n\n", title(service), table.api_version);
    if built.is_empty() {
        text.push_str("None yet.\n");
        return;
    }
    text.push_str("| Operation | Shown by |\n|---|---|\n");
    for name in &built {
        let test = shown.iter().find(|(of, operation, _)| *of == service && operation == name);
        let test = test.map_or("nothing yet", |(_, _, test)| test);
        let _ = writeln!(text, "| {name} | {test} |");
    }
}

fn title(service: ServiceId) -> &'static str {
    match service {
        ServiceId::Lambda => "Lambda",
        ServiceId::Iam => "IAM",
        ServiceId::Sts => "STS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_an_operation_of_the_model_with_an_action_of_its_service() {
        for service in ServiceId::ALL {
            let mut seen = BTreeSet::new();
            for row in services::rows(service) {
                assert!(service.table().operation(row.operation).is_some(), "{}", row.operation);
                assert!(row.action.starts_with(&format!("{}:", service.name())), "{}", row.action);
                assert!(seen.insert(row.operation), "{} has two rows", row.operation);
            }
        }
    }
}
