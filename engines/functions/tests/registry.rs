//! Functions, versions, aliases and what stands beside them.

mod harness;

use std::collections::BTreeMap;

use bytes::Bytes;
use dormouse_functions::*;
use dormouse_model::{AliasName, Qualifier, RevisionId, VersionNumber};
use harness::*;

const ONE: VersionNumber = VersionNumber::Published(1);
const TWO: VersionNumber = VersionNumber::Published(2);

fn new_code(content: &str) -> UpdateCode {
    UpdateCode {
        name: name("f"),
        zip: zip_of(&[("app.py", content.as_bytes())]),
        architectures: None,
        publish: false,
        dry_run: false,
        revision: None,
        unsupported: Vec::new(),
    }
}

fn publish() -> PublishVersion {
    PublishVersion { name: name("f"), description: None, code_sha256: None, revision: None }
}

fn alias(text: &str) -> AliasName {
    text.parse().expect("an alias")
}

fn new_alias(name_: &str, version: VersionNumber, routing: Option<Weight>) -> CreateAlias {
    CreateAlias { function: name("f"), alias: alias(name_), version, description: String::new(), routing }
}

fn sentence<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.expect_err("refused").to_string()
}

#[tokio::test]
async fn a_function_is_created_read_and_deleted() {
    let bench = Bench::new().await;
    let made = bench.create("f", "").await;
    assert_eq!((made.state.as_str(), made.last_update.as_str()), ("Active", "Successful"));
    assert_eq!(made.arn.to_string(), "arn:aws:lambda:us-east-1:000000000000:function:f");
    let functions = &bench.functions;
    let again = functions.create_function(&account(), creation("f", "")).await;
    assert_eq!(again.expect_err("there"), FunctionsError::ResourceConflict("Function already exist: f".into()));
    let read = functions.get_function(&account(), &name("f"), None).await.expect("there");
    assert_eq!(read.version, made);
    let pieces = pieces_of(functions.download_code(&account(), &name("f"), None).await.expect("the zip")).await;
    assert_eq!(pieces.concat(), creation("f", "").zip);
    functions.delete_function(&account(), &name("f"), None).await.expect("deleted");
    let gone = functions.get_function(&account(), &name("f"), None).await;
    assert!(matches!(gone, Err(FunctionsError::ResourceNotFound(_))));
    let gone = functions.delete_function(&account(), &name("f"), None).await;
    assert!(matches!(gone, Err(FunctionsError::ResourceNotFound(_))));
    let left = bench.store.dump();
    let left: Vec<_> = left.iter().filter(|item| !item.key.starts_with(b"catalogue")).collect();
    let left: Vec<_> = left.iter().filter(|item| !item.key.starts_with(b"functions-async")).collect();
    assert!(left.is_empty(), "{left:?}");
    let blobs = walk(&bench.dir.path().join("blobs"));
    assert!(!blobs.iter().any(|path| path.ends_with(".zip")), "{blobs:?}");
}

async fn pieces_of(mut zip: Download) -> Vec<bytes::Bytes> {
    let mut pieces = Vec::new();
    while let Some(piece) = zip.next().await {
        pieces.push(piece.expect("it can be read"));
    }
    assert_eq!(zip.size_bytes(), pieces.iter().map(|piece| piece.len() as u64).sum::<u64>());
    pieces
}

#[tokio::test]
async fn code_is_read_piece_by_piece() {
    let bench = Bench::new().await;
    let mut rng = dormouse_testkit::Rng::new(3);
    let incompressible: Vec<u8> = (0..3 << 17).flat_map(|_| rng.next().to_be_bytes()).collect();
    let mut large = creation("f", "");
    large.zip = zip_of(&[("app.py", b"x = 1"), ("large.bin", &incompressible)]);
    let zip = large.zip.clone();
    bench.functions.create_function(&account(), large).await.expect("created");
    let pieces = pieces_of(bench.functions.download_code(&account(), &name("f"), None).await.expect("the zip")).await;
    assert!(pieces.iter().all(|piece| piece.len() <= 1 << 20), "a piece holds it all");
    assert_eq!(pieces.concat(), zip);
}

#[tokio::test]
async fn variables_are_sealed_in_the_store() {
    let bench = Bench::new().await;
    let functions = &bench.functions;
    let variables = |text: &str| Some(BTreeMap::from([("SECRET_NAME".to_owned(), text.to_owned())]));
    let mut creation = creation("f", "");
    creation.configuration.environment = variables("open-secret-1");
    creation.publish = true;
    functions.create_function(&account(), creation).await.expect("created");
    let change = ConfigurationChange { environment: variables("open-secret-2"), ..Default::default() };
    let update = UpdateConfiguration { name: name("f"), change, revision: None };
    let shown = functions.update_configuration(&account(), update).await.expect("updated");
    assert_eq!(shown.configuration.environment["SECRET_NAME"], "open-secret-2");
    // What does not touch the variables keeps them.
    let change = ConfigurationChange { description: Some("d".into()), ..Default::default() };
    let update = UpdateConfiguration { name: name("f"), change, revision: None };
    functions.update_configuration(&account(), update).await.expect("updated");
    functions.publish_version(&account(), publish()).await.expect("published");
    for item in bench.store.dump() {
        let text = String::from_utf8_lossy(&item.value);
        assert!(!text.contains("open-secret") && !text.contains("SECRET_NAME"), "{text}");
    }
    let again = bench.again().await;
    let versions = again.functions.list_versions(&account(), &name("f"), Page::default()).await.expect("listed").items;
    let kept: Vec<_> =
        versions.iter().map(|version| version.configuration.environment["SECRET_NAME"].as_str()).collect();
    assert_eq!(kept, ["open-secret-2", "open-secret-1", "open-secret-2"]);
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        match entry.is_dir() {
            true => found.extend(walk(&entry)),
            false => found.push(entry.display().to_string()),
        }
    }
    found
}

#[tokio::test]
async fn a_bad_creation_leaves_nothing() {
    let bench = Bench::new().await;
    let try_to = async |change: &dyn Fn(&mut CreateFunction)| {
        let mut command = creation("f", "");
        change(&mut command);
        bench.functions.create_function(&account(), command).await.expect_err("refused")
    };
    let broken = try_to(&|command| command.zip = Bytes::from_static(b"no zip")).await;
    assert!(broken.to_string().starts_with("Could not unzip uploaded file."), "{broken}");
    assert!(matches!(broken, FunctionsError::InvalidParameterValue(_)));
    try_to(&|command| command.zip = Bytes::from(vec![0; 50 * 1024 * 1024 + 1])).await;
    try_to(&|command| command.configuration.role = Some("arn:aws:iam::000000000000:role/absent".into())).await;
    try_to(&|command| command.tags = [("dormouse:egress".to_owned(), "nowhere".to_owned())].into()).await;
    try_to(&|command| command.configuration.unsupported = vec![Unsupported::Layers]).await;
    try_to(&|command| command.architectures = Some(vec!["arm64".into(), "x86_64".into()])).await;
    let listing = bench.functions.list_functions(&account(), Page::default(), true).await.expect("a listing");
    assert!(listing.items.is_empty());
}

#[tokio::test]
async fn versions_are_numbered_snapshots() {
    let bench = Bench::new().await;
    bench.create("f", "").await;
    let functions = &bench.functions;
    let first = functions.publish_version(&account(), publish()).await.expect("published");
    assert_eq!((first.version, first.arn.qualifier.clone()), (ONE, Some(Qualifier::Version(ONE))));
    let same = functions.publish_version(&account(), publish()).await.expect("nothing changed");
    assert_eq!(same, first);
    functions.update_code(&account(), new_code("2")).await.expect("updated");
    let wrong = PublishVersion { code_sha256: Some("x".into()), ..publish() };
    assert!(sentence(functions.publish_version(&account(), wrong).await).starts_with("CodeSHA256 (x) is different"));
    let described = PublishVersion { description: Some("second".into()), ..publish() };
    let second = functions.publish_version(&account(), described).await.expect("published");
    assert_eq!((second.version, second.configuration.description.as_str()), (TWO, "second"));
    assert_ne!(second.code, first.code);
    let listing = functions.list_versions(&account(), &name("f"), Page::default()).await.expect("a listing");
    let numbers: Vec<_> = listing.items.iter().map(|version| version.version).collect();
    assert_eq!(numbers, [VersionNumber::Latest, ONE, TWO]);
    let latest = Qualifier::LATEST;
    assert!(sentence(functions.delete_function(&account(), &name("f"), Some(&latest)).await).contains("$LATEST"));
    functions.delete_function(&account(), &name("f"), Some(&Qualifier::Version(ONE))).await.expect("deleted");
    functions.update_code(&account(), new_code("3")).await.expect("updated");
    let third = functions.publish_version(&account(), publish()).await.expect("published");
    assert_eq!(third.version, VersionNumber::Published(3), "numbers are not used again");
}

#[tokio::test]
async fn a_revision_that_is_not_current_is_refused() {
    let bench = Bench::new().await;
    let made = bench.create("f", "").await;
    let functions = &bench.functions;
    let stale = RevisionId::random();
    let code = UpdateCode { revision: Some(stale), ..new_code("2") };
    assert!(matches!(functions.update_code(&account(), code).await, Err(FunctionsError::PreconditionFailed(_))));
    let code = UpdateCode { revision: Some(made.revision), ..new_code("2") };
    let updated = functions.update_code(&account(), code).await.expect("current");
    assert_ne!(updated.revision, made.revision);
    let change = ConfigurationChange { memory_mb: Some(256), ..Default::default() };
    let configure = |revision| UpdateConfiguration { name: name("f"), change: change.clone(), revision };
    let stale = functions.update_configuration(&account(), configure(Some(made.revision))).await;
    assert!(matches!(stale, Err(FunctionsError::PreconditionFailed(_))));
    let configured = functions.update_configuration(&account(), configure(Some(updated.revision))).await.expect("set");
    assert_eq!(configured.configuration.memory_mb, 256);
    let dry = UpdateCode { dry_run: true, publish: true, ..new_code("4") };
    let shown = functions.update_code(&account(), dry).await.expect("checked");
    assert_ne!(shown.code, configured.code);
    let after = functions.get_function(&account(), &name("f"), None).await.expect("there");
    assert_eq!(after.version, configured, "a dry run changes nothing");
}

#[tokio::test]
async fn aliases_lead_to_versions_and_keep_them() {
    let bench = Bench::new().await;
    bench.create("f", "").await;
    let functions = &bench.functions;
    functions.publish_version(&account(), publish()).await.expect("1");
    functions.update_code(&account(), UpdateCode { publish: true, ..new_code("2") }).await.expect("2");
    let missing = functions.create_alias(&account(), new_alias("live", VersionNumber::Published(9), None)).await;
    assert!(sentence(missing).ends_with("function:f:9"));
    let weight = |version| Some(Weight { version, share: 0.5 });
    let same = functions.create_alias(&account(), new_alias("live", ONE, weight(ONE))).await;
    assert!(sentence(same).contains("already included"));
    let latest = functions.create_alias(&account(), new_alias("live", VersionNumber::Latest, weight(ONE))).await;
    assert!(sentence(latest).contains("$LATEST is not supported"));
    let made = functions.create_alias(&account(), new_alias("live", ONE, weight(TWO))).await.expect("made");
    assert!(matches!(
        functions.create_alias(&account(), new_alias("live", ONE, None)).await,
        Err(FunctionsError::ResourceConflict(_))
    ));
    for version in [ONE, TWO] {
        let kept = functions.delete_function(&account(), &name("f"), Some(&Qualifier::Version(version))).await;
        assert!(sentence(kept).ends_with("reference it: [live]"));
    }
    let mut ran = BTreeMap::new();
    for _ in 0..200 {
        let call = Invoke { qualifier: Some(Qualifier::Alias(alias("live"))), ..call("f", "{}") };
        let outcome = functions.invoke(&account(), call).await.expect("answered");
        *ran.entry(outcome.executed_version).or_insert(0) += 1;
    }
    assert!(ran[&ONE] > 60 && ran[&TWO] > 60, "{ran:?}");
    let update = UpdateAlias {
        function: name("f"),
        alias: alias("live"),
        version: Some(TWO),
        description: None,
        routing: Some(None),
        revision: Some(made.revision),
    };
    let moved = functions.update_alias(&account(), update.clone()).await.expect("moved");
    assert_eq!((moved.version, moved.routing), (TWO, None));
    let stale = functions.update_alias(&account(), update).await;
    assert!(matches!(stale, Err(FunctionsError::PreconditionFailed(_))));
    functions.delete_function(&account(), &name("f"), Some(&Qualifier::Version(ONE))).await.expect("free");
    let listing = functions.list_aliases(&account(), &name("f"), Some(TWO), Page::default()).await.expect("a listing");
    assert_eq!(listing.items, [moved]);
    functions.delete_alias(&account(), &name("f"), &alias("live")).await.expect("deleted");
    functions.delete_alias(&account(), &name("f"), &alias("live")).await.expect("nothing to delete");
    let gone = functions.get_alias(&account(), &name("f"), &alias("live")).await;
    assert!(sentence(gone).starts_with("Cannot find alias arn: "));
}

#[tokio::test]
async fn listings_go_on_where_they_stopped() {
    let bench = Bench::new().await;
    for n in 0..5 {
        bench.create(&format!("f{n}"), "").await;
    }
    let mut page = Page { marker: None, max_items: Some(2) };
    let mut names = Vec::new();
    loop {
        let listing = bench.functions.list_functions(&account(), page.clone(), false).await.expect("a page");
        names.extend(listing.items.iter().map(|version| version.arn.name.to_string()));
        match listing.next_marker {
            Some(marker) => page.marker = Some(marker),
            None => break,
        }
    }
    assert_eq!(names, ["f0", "f1", "f2", "f3", "f4"]);
    let wrong = Page { marker: Some("nothing".into()), max_items: None };
    assert!(sentence(bench.functions.list_functions(&account(), wrong, false).await).starts_with("Marker"));
}

#[tokio::test]
async fn reservations_tags_and_event_settings() {
    let bench = Bench::new().await;
    bench.create("f", "").await;
    bench.create("g", "").await;
    let functions = &bench.functions;
    functions.put_concurrency(&account(), &name("f"), 900).await.expect("100 are left");
    let too_many = functions.put_concurrency(&account(), &name("g"), 1).await;
    assert!(sentence(too_many).ends_with("below its minimum value of [100]."));
    functions.put_concurrency(&account(), &name("f"), 5).await.expect("fewer");
    assert_eq!(functions.get_concurrency(&account(), &name("f")).await, Ok(Some(5)));
    assert_eq!(functions.account_settings(&account()).await.expect("settings").unreserved_concurrency, 995);
    functions.delete_function(&account(), &name("f"), None).await.expect("deleted");
    assert_eq!(functions.account_settings(&account()).await.expect("settings").unreserved_concurrency, 1_000);

    let tags = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    functions.tag(&account(), &name("g"), tags(&[("a", "1"), ("b", "2")])).await.expect("tagged");
    functions.tag(&account(), &name("g"), tags(&[("dormouse:egress", "x")])).await.expect_err("no grant");
    functions.untag(&account(), &name("g"), &["a".into(), "z".into()]).await.expect("untagged");
    assert_eq!(functions.list_tags(&account(), &name("g")).await.expect("tags"), tags(&[("b", "2")]));

    let g = name("g");
    let absent = functions.get_event_invoke_config(&account(), &g, None).await;
    assert!(sentence(absent).ends_with("function:g:$LATEST doesn't have an EventInvokeConfig"));
    let set = |attempts, target: Option<&str>| EventInvokeSettings {
        maximum_retry_attempts: attempts,
        on_failure: target.map(str::to_owned),
        ..Default::default()
    };
    let put = async |settings, merge| functions.put_event_invoke_config(&account(), &g, None, settings, merge).await;
    sentence(put(set(Some(1), None), true).await);
    sentence(put(set(Some(3), None), false).await);
    assert!(
        sentence(put(set(None, Some("arn:aws:sqs:us-east-1:000000000000:q")), false).await).contains("service sqs")
    );
    put(set(Some(1), None), false).await.expect("set");
    let target = "arn:aws:lambda:us-east-1:000000000000:function:h";
    let merged = put(set(None, Some(target)), true).await.expect("merged");
    assert_eq!(merged.settings, set(Some(1), Some(target)));
    let listing = functions.list_event_invoke_configs(&account(), &g, Page::default()).await.expect("a listing");
    assert_eq!(listing.items, [merged]);
    functions.delete_event_invoke_config(&account(), &g, None).await.expect("deleted");
    functions.delete_event_invoke_config(&account(), &g, None).await.expect_err("nothing to delete");
}

#[tokio::test]
async fn many_changes_at_once_lose_nothing() {
    let bench = Bench::new().await;
    bench.create("f", "").await;
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let functions = bench.functions.clone();
            tokio::spawn(async move {
                let code = UpdateCode { publish: true, ..new_code(&format!("code {n}")) };
                functions.update_code(&account(), code).await.expect("updated").version
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.expect("a version"));
    }
    numbers.sort();
    let expected: Vec<_> = (1..=20).map(VersionNumber::Published).collect();
    assert_eq!(numbers, expected);
    for number in expected {
        let qualifier = Qualifier::Version(number);
        bench.functions.download_code(&account(), &name("f"), Some(&qualifier)).await.expect("its code is there");
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let bench = Bench::new().await;
    bench.create("f", "").await;
    bench.functions.publish_version(&account(), publish()).await.expect("published");
    bench.functions.create_alias(&account(), new_alias("live", ONE, None)).await.expect("made");
    let again = bench.again().await;
    let call = Invoke { qualifier: Some(Qualifier::Alias(alias("live"))), ..call("f", "{}") };
    let outcome = again.functions.invoke(&account(), call).await.expect("answered");
    assert_eq!(outcome.executed_version, ONE);
}
