//! Shapes that several operations share, in the names of the model.

use std::collections::BTreeMap;

use dormouse_identity::Identity;
use dormouse_identity::aws_managed::PlatformPolicy;
use dormouse_identity::records::{Group, ManagedPolicy, PolicyVersion, Role, User};
use dormouse_model::Timestamp;
use serde::{Deserialize, Serialize};

/// Items of a list when nothing is said.
const PAGE_ITEMS: usize = 100;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    value: String,
}

pub(super) fn tags_in(tags: Vec<Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

pub(super) fn tags_out(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}

/// Seconds since the epoch.
pub(super) fn seconds(time: Timestamp) -> u64 {
    time.as_secs()
}

/// Policy documents are percent-encoded on the wire.
pub(super) fn encoded(document: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(document, RESERVED).to_string()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BoundaryOut {
    permissions_boundary_type: &'static str,
    permissions_boundary_arn: String,
}

pub(super) fn boundary(arn: Option<&String>) -> Option<BoundaryOut> {
    let arn = arn?.clone();
    Some(BoundaryOut { permissions_boundary_type: "Policy", permissions_boundary_arn: arn })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RoleOut {
    path: String,
    role_name: String,
    role_id: String,
    arn: String,
    create_date: u64,
    assume_role_policy_document: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    max_session_duration: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions_boundary: Option<BoundaryOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
}

impl RoleOut {
    /// As lists have it: without boundary and tags.
    pub(super) fn brief(identity: &Identity, role: &Role) -> Self {
        Self {
            path: role.path.clone(),
            role_name: role.name.clone(),
            role_id: role.id.clone(),
            arn: role.arn(),
            create_date: seconds(role.created),
            assume_role_policy_document: encoded(&identity.shown_trust(role)),
            description: role.description.clone(),
            max_session_duration: role.max_session_secs,
            permissions_boundary: None,
            tags: Vec::new(),
        }
    }

    pub(super) fn whole(identity: &Identity, role: &Role) -> Self {
        let permissions_boundary = boundary(role.grants.boundary.as_ref());
        Self { permissions_boundary, tags: tags_out(&role.tags), ..Self::brief(identity, role) }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UserOut {
    pub(super) path: String,
    /// Absent for the account's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_name: Option<String>,
    pub(super) user_id: String,
    pub(super) arn: String,
    pub(super) create_date: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) permissions_boundary: Option<BoundaryOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<Tag>,
}

impl UserOut {
    pub(super) fn brief(user: &User) -> Self {
        Self {
            path: user.path.clone(),
            user_name: Some(user.name.clone()),
            user_id: user.id.clone(),
            arn: user.arn(),
            create_date: seconds(user.created),
            permissions_boundary: None,
            tags: Vec::new(),
        }
    }

    pub(super) fn whole(user: &User) -> Self {
        let permissions_boundary = boundary(user.grants.boundary.as_ref());
        Self { permissions_boundary, tags: tags_out(&user.tags), ..Self::brief(user) }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GroupOut {
    path: String,
    group_name: String,
    group_id: String,
    arn: String,
    create_date: u64,
}

impl GroupOut {
    pub(super) fn of(group: &Group) -> Self {
        Self {
            path: group.path.clone(),
            group_name: group.name.clone(),
            group_id: group.id.clone(),
            arn: group.arn(),
            create_date: seconds(group.created),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PolicyOut {
    pub(super) policy_name: String,
    policy_id: String,
    arn: String,
    path: String,
    default_version_id: String,
    attachment_count: u32,
    permissions_boundary_usage_count: u32,
    is_attachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    create_date: u64,
    update_date: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
}

impl PolicyOut {
    pub(super) fn of(policy: &ManagedPolicy) -> Self {
        Self {
            policy_name: policy.name.clone(),
            policy_id: policy.id.clone(),
            arn: policy.arn(),
            path: policy.path.clone(),
            default_version_id: version_id(policy.default_version),
            attachment_count: policy.attachments,
            permissions_boundary_usage_count: policy.boundaries,
            is_attachable: true,
            description: policy.description.clone(),
            create_date: seconds(policy.created),
            update_date: seconds(policy.updated),
            tags: tags_out(&policy.tags),
        }
    }

    pub(super) fn is_attached(&self) -> bool {
        self.attachment_count > 0
    }

    /// One of the platform's. `attachments` are the caller's account's.
    pub(super) fn of_platform(policy: &PlatformPolicy, attachments: u32) -> Self {
        Self {
            policy_name: policy.name.to_owned(),
            policy_id: policy.id.to_owned(),
            arn: policy.arn.clone(),
            path: policy.path.to_owned(),
            default_version_id: version_id(1),
            attachment_count: attachments,
            permissions_boundary_usage_count: 0,
            is_attachable: true,
            description: Some(policy.description.to_owned()),
            create_date: 0,
            update_date: 0,
            tags: Vec::new(),
        }
    }
}

/// `v1`, `v2`, ...
pub(super) fn version_id(number: u32) -> String {
    format!("v{number}")
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VersionOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) document: Option<String>,
    pub(super) version_id: String,
    pub(super) is_default_version: bool,
    pub(super) create_date: u64,
}

impl VersionOut {
    /// Without the document.
    pub(super) fn brief(policy: &ManagedPolicy, number: u32, version: &PolicyVersion) -> Self {
        Self {
            document: None,
            version_id: version_id(number),
            is_default_version: number == policy.default_version,
            create_date: seconds(version.created),
        }
    }
}

/// One page of a list that is ordered by name. The marker is the name of the last item, which clients hand back as it is.
pub(super) fn page<T>(
    items: Vec<T>,
    name: impl Fn(&T) -> &str,
    marker: Option<&str>,
    max_items: Option<usize>,
) -> (Vec<T>, Option<String>) {
    let most = max_items.unwrap_or(PAGE_ITEMS).max(1);
    let after = marker.map(str::to_ascii_lowercase);
    let is_left = |item: &T| after.as_ref().is_none_or(|after| name(item).to_ascii_lowercase() > *after);
    let mut left: Vec<T> = items.into_iter().filter(is_left).collect();
    left.sort_by_key(|item| name(item).to_ascii_lowercase());
    let more = left.len() > most;
    left.truncate(most);
    let next = left.last().filter(|_| more).map(|item| name(item).to_owned());
    (left, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_a_list_once() {
        let items = || vec!["b", "A", "c", "D", "e"];
        let mut seen = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let (found, next) = page(items(), |item| item, marker.as_deref(), Some(2));
            seen.extend(found);
            match next {
                Some(next) => marker = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, ["A", "b", "c", "D", "e"]);
    }

    #[test]
    fn documents_are_encoded_for_the_wire() {
        assert_eq!(encoded(r#"{"a":"b c/*~"}"#), "%7B%22a%22%3A%22b%20c%2F%2A~%22%7D");
    }
}
