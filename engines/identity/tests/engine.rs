//! Promises of the identity engine, over a store in memory and a clock that is told to move.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_identity::managed_policies::NewPolicy;
use dormouse_identity::policy::Context;
use dormouse_identity::roles::{NewRole, RoleUpdate};
use dormouse_identity::sigv4::{Payload, SignedRequest, SigningKeys, presign, sign};
use dormouse_identity::sts::AssumeRole;
use dormouse_identity::users::NewUser;
use dormouse_identity::{
    Access, AuthError, AuthorizeError, Caller, Holder, IamError, Identity, MasterKey, RoleError, StartError,
};
use dormouse_model::{AccountId, Clock, Credentials};
use dormouse_testkit::{MemoryStore, SimClock};

const OURS: &str = "000000000000";
const THEIRS: &str = "111111111111";
const LAMBDA: &str = "lambda.amazonaws.com";
const TRUSTS_LAMBDA: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

struct World {
    store: Arc<MemoryStore>,
    clock: SimClock,
    identity: Identity,
    root: SigningKeys,
}

fn account(id: &str) -> AccountId {
    id.parse().expect("an account id")
}

async fn world() -> World {
    let (store, clock) = (Arc::new(MemoryStore::new()), SimClock::default());
    let key = MasterKey::from_bytes([7; 32]);
    let identity = Identity::open(store.clone(), Arc::new(clock.clone()), &key).await.expect("opened");
    let start = identity.bootstrap(&account(OURS), None).await.expect("started");
    let secret = start.secret_access_key.expect("the first start tells the secret");
    let root = keys(&start.access_key_id, &secret, None);
    World { store, clock, identity, root }
}

fn keys(id: &str, secret: &str, token: Option<String>) -> SigningKeys {
    SigningKeys { access_key_id: id.to_owned(), secret_access_key: secret.to_owned(), session_token: token }
}

fn session_keys(credentials: &Credentials) -> SigningKeys {
    keys(&credentials.access_key_id, &credentials.secret_access_key, Some(credentials.session_token.clone()))
}

impl World {
    /// Signs a request as a client would and lets the engine judge it.
    async fn call(&self, keys: &SigningKeys) -> Result<Caller, AuthError> {
        let headers: &[(&str, &[u8])] = &[("host", b"localhost:4566"), ("content-type", b"text/plain")];
        let request = SignedRequest { method: "POST", path: "/a%20b", query: "x=1&a=%2F", headers };
        let added = sign(&request, b"body", keys, "us-east-1", "lambda", self.clock.now()).expect("signed");
        let mut headers = headers.to_vec();
        headers.extend(added.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
        let request = SignedRequest { headers: &headers, ..request };
        self.identity.authenticate(&request, Payload::Whole(b"body")).await.map(|done| done.caller)
    }

    async fn user(&self, name: &str) -> SigningKeys {
        let new = NewUser { name: name.to_owned(), path: "/".to_owned(), boundary: None, tags: BTreeMap::new() };
        self.identity.create_user(&account(OURS), new).await.expect("a user");
        let new = self.identity.create_access_key(&account(OURS), name).await.expect("a key");
        keys(&new.key.id, &new.secret_access_key, None)
    }

    async fn role(&self, owner: &str, name: &str, trust: &str) -> String {
        let new = NewRole {
            name: name.to_owned(),
            path: "/service/".to_owned(),
            trust: trust.to_owned(),
            description: None,
            max_session_secs: None,
            boundary: None,
            tags: BTreeMap::new(),
        };
        self.identity.create_role(&account(owner), new).await.expect("a role").arn()
    }

    async fn may(&self, caller: &Caller, action: &str, resource: &str) -> bool {
        let (owner, context) = (account(OURS), Context::new());
        let access = Access { action, resource, owner: &owner, context: &context, resource_policy: None };
        match self.identity.authorize(caller, &access).await {
            Ok(()) => true,
            Err(AuthorizeError::Denied(denied)) => {
                assert!(denied.to_string().starts_with(&format!(
                    "User: {} is not authorized to perform: {action} on resource: {resource}",
                    caller.arn
                )));
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn assume(&self, keys: &SigningKeys, arn: &str) -> Result<SigningKeys, IamError> {
        let caller = self.call(keys).await.expect("authenticated");
        let ask = AssumeRole { role_arn: arn.to_owned(), session_name: "work".to_owned(), ..AssumeRole::default() };
        self.identity.assume_role(&caller, ask).await.map(|assumed| session_keys(&assumed.credentials))
    }
}

fn trusts(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}}}"#
    )
}

fn allows(action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}}}"#
    )
}

#[tokio::test]
async fn the_first_start_tells_the_secret_once_and_a_wrong_master_key_is_noticed() {
    let world = world().await;
    assert_eq!(world.call(&world.root).await.expect("root").arn, "arn:aws:iam::000000000000:root");
    let clock = Arc::new(world.clock.clone());
    let again =
        Identity::open(world.store.clone(), clock.clone(), &MasterKey::from_bytes([7; 32])).await.expect("opened");
    let start = again.bootstrap(&account(OURS), None).await.expect("started");
    assert_eq!(start.access_key_id, world.root.access_key_id);
    assert!(start.secret_access_key.is_none());
    assert_eq!(start.kept_secret.expect("kept for the node's user").as_str(), world.root.secret_access_key);
    let wrong = Identity::open(world.store.clone(), clock, &MasterKey::from_bytes([8; 32])).await;
    assert!(matches!(wrong, Err(StartError::WrongMasterKey)));
}

#[tokio::test]
async fn the_operators_root_key_is_set_at_every_start() {
    let world = world().await;
    for secret in ["test-secret-1", "test-secret-2"] {
        let set = dormouse_identity::accounts::RootKey {
            access_key_id: "test".to_owned(),
            secret_access_key: secret.to_owned().into(),
        };
        world.identity.bootstrap(&account(OURS), Some(set)).await.expect("started");
        assert!(world.call(&keys("test", secret, None)).await.is_ok());
    }
    assert!(matches!(world.call(&keys("test", "test-secret-1", None)).await, Err(AuthError::Mismatch(_))));
}

#[tokio::test]
async fn keys_that_are_unknown_inactive_deleted_or_wrong_are_refused() {
    let world = world().await;
    let ann = world.user("ann").await;
    let ours = account(OURS);
    assert_eq!(world.call(&ann).await.expect("ann").arn, "arn:aws:iam::000000000000:user/ann");
    let wrong = keys(&ann.access_key_id, "another secret", None);
    assert!(matches!(world.call(&wrong).await, Err(AuthError::Mismatch(_))));
    let unknown = keys("AKIAAAAAAAAAAAAAAAAA", "secret", None);
    assert!(matches!(world.call(&unknown).await, Err(AuthError::UnknownKey)));
    let with_token = keys(&ann.access_key_id, &ann.secret_access_key, Some("token".to_owned()));
    assert!(matches!(world.call(&with_token).await, Err(AuthError::UnknownToken)));

    let caller = world.call(&ann).await.expect("ann");
    let session = session_keys(&world.identity.session_token(&caller, None).expect("a session"));
    assert_eq!(world.call(&session).await.expect("ann's session").arn, caller.arn);
    let id = ann.access_key_id.as_str();
    world.identity.set_access_key_active(&ours, Some("ann"), id, false).await.expect("switched off");
    assert!(matches!(world.call(&ann).await, Err(AuthError::UnknownKey)));
    assert!(matches!(world.call(&session).await, Err(AuthError::UnknownToken)), "a session outlived its key");
    world.identity.set_access_key_active(&ours, Some("ann"), id, true).await.expect("switched on");
    assert!(world.call(&session).await.is_ok());
    world.identity.delete_access_key(&ours, Some("ann"), id).await.expect("deleted");
    assert!(world.call(&ann).await.is_err() && world.call(&session).await.is_err());

    // A new user of the same name has nothing of the old one.
    world.identity.delete_holder(&ours, Holder::User("ann")).await.expect("deleted");
    world.user("ann").await;
    assert!(world.call(&ann).await.is_err() && world.call(&session).await.is_err());
}

#[tokio::test]
async fn another_nodes_change_is_seen_before_a_refusal() {
    let world = world().await;
    let clock = Arc::new(world.clock.clone());
    let key = MasterKey::from_bytes([7; 32]);
    let other = Identity::open(world.store.clone(), clock, &key).await.expect("opened");
    let new = NewUser { name: "bob".to_owned(), path: "/".to_owned(), boundary: None, tags: BTreeMap::new() };
    other.create_user(&account(OURS), new).await.expect("a user");
    let new = other.create_access_key(&account(OURS), "bob").await.expect("a key");
    let caller = world.call(&keys(&new.key.id, &new.secret_access_key, None)).await.expect("bob");
    let policy = allows("lambda:*", "*");
    other.put_inline_policy(&account(OURS), Holder::User("bob"), "p", &policy).await.expect("granted");
    assert!(world.may(&caller, "lambda:ListFunctions", "*").await);
}

#[tokio::test]
async fn while_the_answer_is_yes_the_store_is_not_asked() {
    let world = world().await;
    let ann = world.user("ann").await;
    let policy = allows("lambda:*", "*");
    world.identity.put_inline_policy(&account(OURS), Holder::User("ann"), "p", &policy).await.expect("granted");
    let role = world.role(OURS, "r", TRUSTS_LAMBDA).await;
    let (ours, hour) = (account(OURS), Duration::from_secs(3_600));
    let reads = world.store.reads();
    let caller = world.call(&ann).await.expect("ann");
    assert!(world.may(&caller, "lambda:InvokeFunction", "*").await);
    let credentials = world.identity.role_credentials(&ours, &role, LAMBDA, "f", hour).await.expect("keys");
    world.call(&session_keys(&credentials)).await.expect("a session");
    assert_eq!(world.store.reads(), reads, "the warm path read the store");
    assert!(!world.may(&caller, "s3:GetObject", "*").await);
    assert!(world.store.reads() > reads, "a denial was not looked at again");
}

#[tokio::test]
async fn times_and_presigned_urls_are_judged() {
    let world = world().await;
    let headers: &[(&str, &[u8])] = &[("host", b"h")];
    let request = SignedRequest { method: "GET", path: "/", query: "a=b c", headers };
    let now = world.clock.now();
    let query = presign(
        &SignedRequest { query: "a=b%20c", ..request },
        &world.root,
        "us-east-1",
        "sts",
        now,
        Duration::from_secs(600),
    )
    .expect("signed");
    let judge = async |query: &str| {
        let request = SignedRequest { query, ..request };
        world.identity.authenticate(&request, Payload::Whole(b"")).await.map(|done| done.scope.service)
    };
    assert_eq!(judge(&query).await.expect("valid"), "sts");
    assert!(matches!(judge(&query.replace("a=b", "a=c")).await, Err(AuthError::Mismatch(_))));
    assert!(matches!(judge(&query.replace("Expires=600", "Expires=900")).await, Err(AuthError::Mismatch(_))));
    assert!(matches!(judge(&format!("{query}&X-Amz-Date=20261123T000000Z")).await, Err(AuthError::Incomplete(_))));
    world.clock.advance(Duration::from_secs(601));
    assert!(matches!(judge(&query).await, Err(AuthError::UrlExpired { .. })));
    world.clock.set(now - Duration::from_secs(301));
    let early = judge(&query).await.expect_err("too early").to_string();
    assert!(early.starts_with("Signature not yet current: "), "{early}");
}

#[tokio::test]
async fn a_signature_covers_every_part_of_a_request() {
    let world = world().await;
    let base: &[(&str, &[u8])] = &[("host", b"h"), ("x-amz-target", b"T.Op")];
    let request = SignedRequest { method: "POST", path: "/p", query: "q=1", headers: base };
    let added = sign(&request, b"body", &world.root, "us-east-1", "lambda", world.clock.now()).expect("signed");
    let mut good = base.to_vec();
    good.extend(added.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    let judge = async |request: SignedRequest<'_>, body: &[u8]| {
        world.identity.authenticate(&request, Payload::Whole(body)).await.map(drop)
    };
    let signed = SignedRequest { headers: &good, ..request };
    judge(signed, b"body").await.expect("valid");
    assert!(matches!(judge(signed, b"bodx").await, Err(AuthError::BodyMismatch)));
    for changed in [
        SignedRequest { method: "PUT", ..signed },
        SignedRequest { path: "/q", ..signed },
        SignedRequest { path: "/x/../p", ..signed },
        SignedRequest { path: "//p", ..signed },
        SignedRequest { query: "q=2", ..signed },
        SignedRequest { query: "q=1&r=1", ..signed },
    ] {
        assert!(judge(changed, b"body").await.is_err(), "{changed:?}");
    }
    for (name, value) in
        [("host", b"i".as_slice()), ("x-amz-target", b"T.Other"), ("x-amz-content-sha256", b"UNSIGNED-PAYLOAD")]
    {
        let mut headers = good.clone();
        headers.retain(|(known, _)| known != &name);
        headers.push((name, value));
        assert!(judge(SignedRequest { headers: &headers, ..signed }, b"body").await.is_err(), "{name}");
    }
    for more in [("host", b"h".as_slice()), ("x-amz-invocation-type", b"Event"), ("x-amz-target", b"T.Op")] {
        let mut headers = good.clone();
        headers.push(more);
        assert!(judge(SignedRequest { headers: &headers, ..signed }, b"body").await.is_err(), "{more:?}");
    }
    world.clock.advance(Duration::from_secs(301));
    let late = judge(signed, b"body").await.expect_err("too late").to_string();
    assert!(late.starts_with("Signature expired: ") && late.ends_with("- 5 min.)"), "{late}");
}

#[tokio::test]
async fn roles_are_assumed_by_whom_they_trust() {
    let world = world().await;
    let ann = world.user("ann").await;
    let ours = account(OURS);
    let by_name = world.role(OURS, "by-name", &trusts("arn:aws:iam::000000000000:user/ann")).await;
    let by_account = world.role(OURS, "by-account", &trusts(OURS)).await;
    let by_nobody = world.role(OURS, "by-nobody", TRUSTS_LAMBDA).await;
    let session = world.assume(&ann, &by_name).await.expect("named in the trust policy");
    let caller = world.call(&session).await.expect("a session");
    assert_eq!(caller.arn, "arn:aws:sts::000000000000:assumed-role/by-name/work");
    assert!(
        matches!(world.assume(&ann, &by_account).await, Err(IamError::Denied(_))),
        "the account did not pass it on"
    );
    let policy = allows("sts:AssumeRole", &by_account);
    world.identity.put_inline_policy(&ours, Holder::User("ann"), "p", &policy).await.expect("granted");
    assert!(world.assume(&ann, &by_account).await.is_ok());
    assert!(world.assume(&world.root, &by_account).await.is_ok());
    for arn in [by_nobody.as_str(), "arn:aws:iam::000000000000:role/absent", "arn:aws:iam::000000000000:role/by-name"] {
        for keys in [&ann, &world.root] {
            let error = world.assume(keys, arn).await.expect_err("refused").to_string();
            assert!(
                error.ends_with(&format!("is not authorized to perform: sts:AssumeRole on resource: {arn}")),
                "{error}"
            );
        }
    }
    world.clock.advance(Duration::from_secs(3_600));
    assert!(matches!(world.call(&session).await, Err(AuthError::ExpiredToken)));
}

#[tokio::test]
async fn whoever_takes_the_name_of_one_that_is_trusted_is_not() {
    let world = world().await;
    let (ours, identity) = (account(OURS), &world.identity);
    let ann = world.user("ann").await;
    let (trusts_ann, by_root) = (trusts("arn:aws:iam::000000000000:user/ann"), trusts(OURS));
    let target = world.role(OURS, "target", &trusts_ann).await;
    let middle = world.role(OURS, "middle", &by_root).await;
    let for_role = world.role(OURS, "for-role", &trusts(&middle)).await;
    let for_session =
        world.role(OURS, "for-session", &trusts("arn:aws:sts::000000000000:assumed-role/middle/work")).await;
    let session = world.assume(&world.root, &middle).await.expect("root");
    for role in [&for_role, &for_session] {
        world.assume(&session, role).await.expect("the role and its session are trusted");
    }
    assert!(world.assume(&ann, &target).await.is_ok());
    let shown = |name: &str| identity.shown_trust(&identity.role(&ours, name).expect("there"));
    assert_eq!(shown("target"), trusts_ann);

    let id = identity.user(&ours, "ann").expect("there").id;
    identity.delete_access_key(&ours, Some("ann"), &ann.access_key_id).await.expect("deleted");
    identity.delete_holder(&ours, Holder::User("ann")).await.expect("deleted");
    assert!(shown("target").contains(&format!("\"AWS\":\"{id}\"")), "{}", shown("target"));
    let other_ann = world.user("ann").await;
    assert!(matches!(world.assume(&other_ann, &target).await, Err(IamError::Denied(_))));
    let update = RoleUpdate { trust: Some(trusts_ann.clone()), ..RoleUpdate::default() };
    identity.update_role(&ours, "target", update).await.expect("saved again");
    assert!(world.assume(&other_ann, &target).await.is_ok());
    assert_eq!(shown("target"), trusts_ann);

    identity.delete_holder(&ours, Holder::Role("middle")).await.expect("deleted");
    world.role(OURS, "middle", &by_root).await;
    let session = world.assume(&world.root, &middle).await.expect("root");
    for role in [&for_role, &for_session] {
        assert!(matches!(world.assume(&session, role).await, Err(IamError::Denied(_))), "{role}");
    }
    for nobody in ["arn:aws:iam::000000000000:user/nobody", "arn:aws:sts::000000000000:assumed-role/nobody/x"] {
        let update = RoleUpdate { trust: Some(trusts(nobody)), ..RoleUpdate::default() };
        let error = identity.update_role(&ours, "target", update).await.expect_err("nobody has that name");
        assert_eq!(error.to_string(), format!("Invalid principal in policy: \"AWS\":\"{nobody}\""));
    }
}

#[tokio::test]
async fn across_accounts_a_role_needs_trust_and_permission() {
    let world = world().await;
    world.identity.create_account(&account(THEIRS), "them").await.expect("an account");
    let ann = world.user("ann").await;
    let role = world.role(THEIRS, "r", &trusts(OURS)).await;
    assert!(matches!(world.assume(&ann, &role).await, Err(IamError::Denied(_))));
    let policy = allows("sts:AssumeRole", "*");
    world.identity.put_inline_policy(&account(OURS), Holder::User("ann"), "p", &policy).await.expect("granted");
    let session = world.assume(&ann, &role).await.expect("both sides allow");
    assert_eq!(world.call(&session).await.expect("a session").account, account(THEIRS));
    let untrusting = world.role(THEIRS, "s", &trusts(THEIRS)).await;
    assert!(matches!(world.assume(&ann, &untrusting).await, Err(IamError::Denied(_))));
}

#[tokio::test]
async fn a_session_ends_with_its_role_and_is_narrowed_by_its_policy() {
    let world = world().await;
    let ours = account(OURS);
    let role = world.role(OURS, "r", &trusts(OURS)).await;
    let administrator = "arn:aws:iam::aws:policy/AdministratorAccess";
    world.identity.attach_policy(&ours, Holder::Role("r"), administrator).await.expect("attached");
    let root = world.call(&world.root).await.expect("root");
    let ask = AssumeRole {
        role_arn: role.clone(),
        session_name: "narrow".to_owned(),
        policy: Some(allows("lambda:Get*", "*")),
        ..AssumeRole::default()
    };
    let narrow = world.identity.assume_role(&root, ask).await.expect("assumed");
    let narrow = world.call(&session_keys(&narrow.credentials)).await.expect("a session");
    assert!(
        world.may(&narrow, "lambda:GetFunction", "*").await && !world.may(&narrow, "lambda:ListFunctions", "*").await
    );
    let wide_keys = world.assume(&world.root, &role).await.expect("assumed");
    let wide = world.call(&wide_keys).await.expect("a session");
    assert!(world.may(&wide, "lambda:ListFunctions", "*").await);

    world.identity.detach_policy(&ours, Holder::Role("r"), administrator).await.expect("detached");
    assert!(!world.may(&wide, "lambda:ListFunctions", "*").await, "a permission outlived its policy");
    world.identity.delete_holder(&ours, Holder::Role("r")).await.expect("deleted");
    assert!(matches!(world.call(&wide_keys).await, Err(AuthError::UnknownToken)));
    world.role(OURS, "r", &trusts(OURS)).await;
    assert!(matches!(world.call(&wide_keys).await, Err(AuthError::UnknownToken)), "another role of the same name");
    assert!(!world.may(&wide, "lambda:ListFunctions", "*").await);
}

#[tokio::test]
async fn execution_roles_must_exist_here_and_trust_the_service() {
    let world = world().await;
    let ours = account(OURS);
    let good = world.role(OURS, "good", TRUSTS_LAMBDA).await;
    let other = world.role(OURS, "other", &trusts(OURS)).await;
    let check = async |arn: &str| world.identity.check_execution_role(&ours, arn, LAMBDA).await;
    check(&good).await.expect("good");
    for arn in [other.as_str(), "arn:aws:iam::000000000000:role/service/absent", "arn:aws:iam::000000000000:role/good"]
    {
        let error = check(arn).await.expect_err("refused");
        assert_eq!(error.to_string(), "The role defined for the function cannot be assumed by Lambda.");
    }
    assert!(matches!(check("arn:aws:iam::111111111111:role/r").await, Err(RoleError::OtherAccount)));
    assert!(matches!(check("nonsense").await, Err(RoleError::NotARole(_))));
    let hour = Duration::from_secs(3_600);
    let credentials = world.identity.role_credentials(&ours, &good, LAMBDA, "f", hour).await.expect("keys");
    let caller = world.call(&session_keys(&credentials)).await.expect("a session");
    assert_eq!(caller.arn, "arn:aws:sts::000000000000:assumed-role/good/f");
    assert!(!world.may(&caller, "lambda:InvokeFunction", "*").await, "a role without policies may nothing");
    let update = RoleUpdate { trust: Some(trusts(OURS)), ..RoleUpdate::default() };
    world.identity.update_role(&ours, "good", update).await.expect("changed");
    assert!(check(&good).await.is_err());
}

#[tokio::test]
async fn what_is_still_used_is_not_deleted() {
    let world = world().await;
    let (ours, identity) = (account(OURS), &world.identity);
    world.role(OURS, "r", TRUSTS_LAMBDA).await;
    let new = NewPolicy {
        name: "p".to_owned(),
        path: "/".to_owned(),
        document: allows("lambda:*", "*"),
        description: None,
        tags: BTreeMap::new(),
    };
    let policy = identity.create_policy(&ours, new.clone()).await.expect("a policy").arn();
    assert!(matches!(identity.create_policy(&ours, new).await, Err(IamError::AlreadyExists(_))));
    for _ in 0..2 {
        identity.attach_policy(&ours, Holder::Role("r"), &policy).await.expect("attached");
    }
    assert_eq!(identity.policy(&policy).expect("there").attachments, 1, "attaching again counts once");
    assert!(matches!(identity.delete_policy(&policy).await, Err(IamError::DeleteConflict(_))));
    assert!(matches!(identity.delete_holder(&ours, Holder::Role("r")).await, Err(IamError::DeleteConflict(_))));
    identity.detach_policy(&ours, Holder::Role("r"), &policy).await.expect("detached");
    assert!(matches!(identity.detach_policy(&ours, Holder::Role("r"), &policy).await, Err(IamError::NoSuchEntity(_))));
    identity.put_inline_policy(&ours, Holder::Role("r"), "i", &allows("lambda:*", "*")).await.expect("put");
    assert!(matches!(identity.delete_holder(&ours, Holder::Role("r")).await, Err(IamError::DeleteConflict(_))));
    identity.delete_inline_policy(&ours, Holder::Role("r"), "i").await.expect("deleted");
    identity.delete_holder(&ours, Holder::Role("r")).await.expect("deleted");
    identity.delete_policy(&policy).await.expect("deleted");
    assert!(matches!(identity.delete_policy(&policy).await, Err(IamError::NoSuchEntity(_))));
    world.user("ann").await;
    assert!(matches!(identity.delete_holder(&ours, Holder::User("ann")).await, Err(IamError::DeleteConflict(_))));
}

#[tokio::test]
async fn a_boundary_is_of_the_own_account_and_counted_wherever_it_is_set() {
    let world = world().await;
    let (ours, identity) = (account(OURS), &world.identity);
    identity.create_account(&account(THEIRS), "them").await.expect("an account");
    let limit = |owner: &str, name: &str| {
        let document = allows("lambda:*", "*");
        let new = NewPolicy {
            name: name.to_owned(),
            path: "/".to_owned(),
            document,
            description: None,
            tags: BTreeMap::new(),
        };
        let owner = account(owner);
        async move { identity.create_policy(&owner, new).await.expect("a policy").arn() }
    };
    let (first, second, theirs) = (limit(OURS, "a").await, limit(OURS, "b").await, limit(THEIRS, "a").await);
    let uses = |arn: &str| identity.policy(arn).expect("there").boundaries;
    let bounded = |boundary: &str| NewUser {
        name: "ann".to_owned(),
        path: "/".to_owned(),
        boundary: Some(boundary.to_owned()),
        tags: BTreeMap::new(),
    };
    assert!(matches!(identity.create_user(&ours, bounded(&theirs)).await, Err(IamError::NoSuchEntity(_))));
    assert_eq!(uses(&theirs), 0, "an account counted on another's policy");
    identity.create_user(&ours, bounded(&first)).await.expect("a user");
    let ann = Holder::User("ann");
    assert!(matches!(identity.set_boundary(&ours, ann, Some(&theirs)).await, Err(IamError::NoSuchEntity(_))));

    // Another node changes it, and this one does not know yet.
    let key = MasterKey::from_bytes([7; 32]);
    let other = Identity::open(world.store.clone(), Arc::new(world.clock.clone()), &key).await.expect("opened");
    other.set_boundary(&ours, ann, Some(&second)).await.expect("changed");
    identity.delete_holder(&ours, ann).await.expect("deleted");
    assert_eq!((uses(&first), uses(&second)), (0, 0));
    identity.delete_policy(&second).await.expect("nobody uses it");
}

#[tokio::test]
async fn a_user_has_what_its_groups_hold_and_is_denied_what_they_deny() {
    let world = world().await;
    let (ours, identity) = (account(OURS), &world.identity);
    let ann = world.call(&world.user("ann").await).await.expect("ann");
    identity.create_group(&ours, "Readers", "/a/").await.expect("a group");
    assert!(matches!(identity.create_group(&ours, "readers", "/").await, Err(IamError::AlreadyExists(_))));
    let readers = Holder::Group("Readers");
    identity.put_inline_policy(&ours, readers, "p", &allows("lambda:Get*", "*")).await.expect("put");
    assert!(!world.may(&ann, "lambda:GetFunction", "*").await, "nobody is in the group");
    for _ in 0..2 {
        identity.add_to_group(&ours, "ANN", "readers").await.expect("added");
    }
    assert!(world.may(&ann, "lambda:GetFunction", "*").await && !world.may(&ann, "lambda:ListFunctions", "*").await);
    let members: Vec<_> = identity.members_of(&ours, "readers").expect("there").into_iter().map(|u| u.name).collect();
    assert_eq!(members, ["ann"]);
    let administrator = "arn:aws:iam::aws:policy/AdministratorAccess";
    identity.attach_policy(&ours, readers, administrator).await.expect("attached");
    assert!(world.may(&ann, "lambda:ListFunctions", "*").await);

    identity.create_group(&ours, "banned", "/").await.expect("a group");
    let nothing = allows("lambda:ListFunctions", "*").replace("Allow", "Deny");
    identity.put_inline_policy(&ours, Holder::Group("banned"), "p", &nothing).await.expect("put");
    identity.add_to_group(&ours, "ann", "banned").await.expect("added");
    assert!(!world.may(&ann, "lambda:ListFunctions", "*").await && world.may(&ann, "lambda:GetFunction", "*").await);

    let conflict = |result| assert!(matches!(result, Err(IamError::DeleteConflict(_))));
    identity.delete_access_key(&ours, Some("ann"), &ann.access_key_id).await.expect("deleted");
    conflict(identity.delete_holder(&ours, Holder::User("ann")).await);
    identity.remove_from_group(&ours, "ann", "banned").await.expect("removed");
    identity.delete_inline_policy(&ours, readers, "p").await.expect("deleted");
    identity.detach_policy(&ours, readers, administrator).await.expect("detached");
    conflict(identity.delete_holder(&ours, readers).await);
    identity.remove_from_group(&ours, "ann", "readers").await.expect("removed");
    identity.delete_holder(&ours, readers).await.expect("deleted");
    identity.delete_holder(&ours, Holder::User("ann")).await.expect("deleted");
    assert!(matches!(identity.add_to_group(&ours, "ann", "banned").await, Err(IamError::NoSuchEntity(_))));
}

#[tokio::test]
async fn the_version_of_a_policy_that_counts_is_the_default_one() {
    let world = world().await;
    let (ours, identity) = (account(OURS), &world.identity);
    let ann = world.user("ann").await;
    let caller = world.call(&ann).await.expect("ann");
    let new = NewPolicy {
        name: "p".to_owned(),
        path: "/".to_owned(),
        document: allows("lambda:Get*", "*"),
        description: None,
        tags: BTreeMap::new(),
    };
    let arn = identity.create_policy(&ours, new).await.expect("a policy").arn();
    identity.attach_policy(&ours, Holder::User("ann"), &arn).await.expect("attached");
    let (_, second) =
        identity.create_policy_version(&arn, &allows("lambda:List*", "*"), false).await.expect("a version");
    assert!(
        world.may(&caller, "lambda:GetFunction", "*").await && !world.may(&caller, "lambda:ListFunctions", "*").await
    );
    identity.set_default_policy_version(&arn, second).await.expect("set");
    assert!(
        !world.may(&caller, "lambda:GetFunction", "*").await && world.may(&caller, "lambda:ListFunctions", "*").await
    );
    assert!(matches!(identity.delete_policy_version(&arn, second).await, Err(IamError::DeleteConflict(_))));
    assert!(matches!(identity.delete_policy(&arn).await, Err(IamError::DeleteConflict(_))));
    identity.delete_policy_version(&arn, 1).await.expect("deleted");
}

#[tokio::test]
async fn passing_a_role_needs_permission_for_that_role_and_service() {
    let world = world().await;
    let ann = world.user("ann").await;
    let role = world.role(OURS, "r", TRUSTS_LAMBDA).await;
    let caller = world.call(&ann).await.expect("ann");
    assert!(world.identity.check_pass_role(&caller, &role, LAMBDA).await.is_err());
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"iam:PassRole","Resource":"{role}","Condition":{{"StringEquals":{{"iam:PassedToService":"{LAMBDA}"}}}}}}}}"#
    );
    world.identity.put_inline_policy(&account(OURS), Holder::User("ann"), "p", &policy).await.expect("granted");
    world.identity.check_pass_role(&caller, &role, LAMBDA).await.expect("granted");
    assert!(world.identity.check_pass_role(&caller, &role, "states.amazonaws.com").await.is_err());
    assert!(world.identity.check_pass_role(&caller, "arn:aws:iam::000000000000:role/x", LAMBDA).await.is_err());
}
