//! `docs/status.md` is what the operation table says, and each operation that is built names a test that exists.

use std::path::{Path, PathBuf};

use dormouse_edge_aws::status::{Shown, built, render};
use dormouse_edge_aws::table::ServiceId;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `tests/shown_by.toml`: for each service, operation = "file::function", the file without its `.py`.
fn shown() -> Vec<Shown> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shown_by.toml"));
    let document: toml::Table = text.expect("shown_by.toml").parse().expect("valid TOML");
    let mut shown = Vec::new();
    for (service, operations) in document {
        let service = ServiceId::named(&service).expect("a service");
        for (operation, test) in operations.as_table().expect("a table") {
            shown.push((service, operation.clone(), test.as_str().expect("a text").to_owned()));
        }
    }
    shown
}

#[test]
fn every_operation_that_is_built_is_shown_by_a_test_that_exists() {
    let shown = shown();
    for service in ServiceId::ALL {
        for operation in built(service) {
            let test = shown.iter().find(|(of, name, _)| *of == service && name == operation);
            let (_, _, test) = test.unwrap_or_else(|| panic!("{operation} has no line in tests/shown_by.toml"));
            let (file, function) = test.split_once("::").expect("file::function");
            let candidates =
                ["tests/clients", "edges/aws/tests"].map(|dir| root().join(dir).join(file).with_extension("py"));
            let source = candidates.iter().find_map(|path| std::fs::read_to_string(path).ok());
            let source = source.unwrap_or_else(|| panic!("{operation}: neither of {candidates:?} is there"));
            assert!(source.contains(&format!("def {function}(")), "{operation}: there is no {test}");
        }
    }
    for (service, operation, _) in shown {
        assert!(built(service).contains(operation.as_str()), "{operation} has a line and is not built");
    }
}

#[test]
fn the_document_is_up_to_date() {
    let path = root().join("docs/status.md");
    let wanted = render(&shown());
    if std::env::var_os("DORMOUSE_TEST_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &wanted).expect("docs/status.md can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "run this test again with DORMOUSE_TEST_WRITE_GOLDEN=1");
}
