//! Names, paths, tags and ids of IAM: what they may be, and new ones.
//!
//! Source: the service model of IAM and the public page "IAM and AWS STS quotas".

use std::collections::BTreeMap;

use crate::IamError;

/// Characters in the name of a user or a role.
pub const NAME_CHARS: usize = 64;
/// Characters in the name of a group.
pub const GROUP_NAME_CHARS: usize = 128;
/// Characters in the name of a policy.
pub const POLICY_NAME_CHARS: usize = 128;
/// Characters in a path.
pub const PATH_CHARS: usize = 512;
/// Characters in a description.
pub const DESCRIPTION_CHARS: usize = 1_000;
/// Tags on a user, role or policy.
pub const TAGS: usize = 50;
/// Characters in the key of a tag.
pub const TAG_KEY_CHARS: usize = 128;
/// Characters in the value of a tag.
pub const TAG_VALUE_CHARS: usize = 256;

fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

/// A name of 1 to `most` characters of the set that IAM names have.
pub(crate) fn name(what: &str, text: &str, most: usize) -> Result<(), IamError> {
    if (1..=most).contains(&text.len()) && is_word(text) {
        return Ok(());
    }
    Err(IamError::Validation(format!(
        "The specified value for {what} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-, from 1 to {most} of them"
    )))
}

/// The name of a session: 2 to 64 characters of the same set.
pub(crate) fn session_name(text: &str) -> Result<(), IamError> {
    if text.len() >= 2 {
        name("roleSessionName", text, NAME_CHARS)
    } else {
        Err(IamError::Validation(
            "The specified value for roleSessionName is invalid. It takes 2 to 64 characters".to_owned(),
        ))
    }
}

/// `/`, or printable characters between two slashes.
pub(crate) fn path(text: &str) -> Result<(), IamError> {
    let printable = text.bytes().all(|b| (0x21..=0x7e).contains(&b));
    if text.starts_with('/') && text.ends_with('/') && text.len() <= PATH_CHARS && printable && !text.contains("//") {
        return Ok(());
    }
    Err(IamError::Validation("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.".to_owned()))
}

/// A description of a role or policy.
pub(crate) fn description(text: &str) -> Result<(), IamError> {
    if text.chars().count() <= DESCRIPTION_CHARS {
        return Ok(());
    }
    Err(IamError::Validation(format!("The description takes at most {DESCRIPTION_CHARS} characters")))
}

/// Tags as a whole: how many, and each.
pub(crate) fn tags<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<(), IamError> {
    let mut count = 0;
    for (key, value) in tags {
        count += 1;
        let letters =
            |text: &str| text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c));
        if key.is_empty()
            || key.chars().count() > TAG_KEY_CHARS
            || !letters(key)
            || key.to_lowercase().starts_with("aws:")
        {
            return Err(IamError::Validation(format!(
                "The tag key {key:?} is invalid: it takes 1 to {TAG_KEY_CHARS} letters, digits, spaces and _.:/=+-@, and does not start with aws:"
            )));
        }
        if value.chars().count() > TAG_VALUE_CHARS || !letters(value) {
            return Err(IamError::Validation(format!(
                "The value of the tag {key:?} is invalid: it takes at most {TAG_VALUE_CHARS} letters, digits, spaces and _.:/=+-@"
            )));
        }
    }
    if count > TAGS {
        return Err(IamError::LimitExceeded(format!("The number of tags has reached the maximum limit of {TAGS}.")));
    }
    Ok(())
}

/// Sets and removes tags, and checks what comes of it.
pub(crate) fn change_tags(
    tags: &mut BTreeMap<String, String>,
    set: &BTreeMap<String, String>,
    remove: &[String],
) -> Result<(), IamError> {
    for key in remove {
        tags.remove(key);
    }
    tags.extend(set.iter().map(|(key, value)| (key.clone(), value.clone())));
    self::tags(&*tags)
}

/// Letters of ids, of which there are 32: five bits each.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A prefix and so many random letters.
pub(crate) fn random_id(prefix: &str, letters: usize) -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    let tail = bytes.iter().take(letters).map(|b| char::from(LETTERS[usize::from(b & 31)]));
    prefix.chars().chain(tail).collect()
}

/// `ASIA`, eight letters for the account, eight random ones.
pub(crate) fn session_key_id(account: &dormouse_model::AccountId) -> String {
    let mut number: u64 = account.as_str().parse().expect("an account id is twelve digits");
    let mut letters = [0_u8; 8];
    for letter in letters.iter_mut().rev() {
        *letter = LETTERS[(number & 31) as usize];
        number >>= 5;
    }
    let account = letters.map(char::from).into_iter().collect::<String>();
    random_id(&format!("ASIA{account}"), 8)
}

/// The account that [`session_key_id`] wrote into an id.
pub(crate) fn account_of_session_key(id: &str) -> Option<dormouse_model::AccountId> {
    let letters = id.strip_prefix("ASIA").filter(|rest| rest.len() == 16)?.as_bytes();
    let mut number = 0_u64;
    for letter in &letters[..8] {
        let value = LETTERS.iter().position(|known| known == letter)?;
        number = (number << 5) | value as u64;
    }
    format!("{number:012}").parse().ok()
}

/// A new secret access key: 240 random bits as 40 characters.
pub(crate) fn new_secret() -> zeroize::Zeroizing<String> {
    use base64::Engine;
    let mut bytes = zeroize::Zeroizing::new([0; 30]);
    getrandom::fill(&mut *bytes).expect("the operating system gives random bytes");
    zeroize::Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_tags_are_judged() {
        for good in ["a", "A_b+=,.@-9", &"x".repeat(64)] {
            assert!(name("roleName", good, NAME_CHARS).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "a:b", "é", "*", &"x".repeat(65)] {
            assert!(name("roleName", bad, NAME_CHARS).is_err(), "{bad}");
        }
        for good in ["/", "/a/", "/a/b-c/"] {
            assert!(path(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "/a", "a/", "//", "/a b/", &format!("/{}/", "x".repeat(512))] {
            assert!(path(bad).is_err(), "{bad}");
        }
        let one = |key: &str, value: &str| tags([(&key.to_owned(), &value.to_owned())]);
        assert!(one("team", "a b").is_ok());
        assert!(one("aws:x", "").is_err() && one("", "").is_err() && one("a*", "").is_err() && one("a", "*").is_err());
    }

    #[test]
    fn a_session_key_tells_its_account() {
        for account in ["000000000000", "123456789012", "999999999999"] {
            let account = account.parse().expect("an account id");
            assert_eq!(account_of_session_key(&session_key_id(&account)), Some(account));
        }
        assert_eq!(account_of_session_key("AKIA0000000000000000"), None);
        assert_eq!(account_of_session_key("ASIA777777777777777"), None);
        assert_eq!(account_of_session_key("ASIAéééééééé"), None);
    }
}
