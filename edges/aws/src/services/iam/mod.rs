//! IAM. Actions and resources follow the public service authorization reference; the rules are the identity engine's.

mod access_key;
mod error;
mod grants;
mod group;
mod policy;
mod role;
mod target;
mod user;
mod wire;

use crate::operation::{Row, own_account, row_of};

macro_rules! iam {
    ($($row:tt)+) => {
        row_of!("iam": $($row)+)
    };
}

/// What can be done to roles, users and groups alike.
macro_rules! holder_rows {
    ($kind:literal, $target:path) => {
        [
            iam!("Delete" $kind => $target, grants::delete_holder),
            iam!("Put" $kind "Policy" => $target, grants::put_inline),
            iam!("Get" $kind "Policy" => $target, grants::get_inline),
            iam!("Delete" $kind "Policy" => $target, grants::delete_inline),
            iam!("List" $kind "Policies" => $target, grants::list_inline),
            iam!("Attach" $kind "Policy" => $target, grants::attach),
            iam!("Detach" $kind "Policy" => $target, grants::detach),
            iam!("ListAttached" $kind "Policies" => $target, grants::list_attached),
        ]
    };
}

/// What can be done to roles and users, and not to groups.
macro_rules! principal_rows {
    ($kind:literal, $target:path) => {
        [
            iam!("Tag" $kind => $target, grants::tag),
            iam!("Untag" $kind => $target, grants::untag),
            iam!("List" $kind "Tags" => $target, grants::list_tags),
            iam!("Put" $kind "PermissionsBoundary" => $target, grants::put_boundary),
            iam!("Delete" $kind "PermissionsBoundary" => $target, grants::delete_boundary),
        ]
    };
}

/// What is built.
pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        iam!("CreateRole" => target::new_role, role::create),
        iam!("GetRole" => target::role, role::get),
        iam!("ListRoles" => own_account, role::list),
        iam!("UpdateRole" => target::role, role::update),
        iam!("UpdateRoleDescription" => target::role, role::update_description),
        iam!("UpdateAssumeRolePolicy" => target::role, role::update_trust),
        iam!("ListInstanceProfilesForRole" => target::role, role::instance_profiles),
        iam!("CreateUser" => target::new_user, user::create),
        iam!("GetUser" => target::user_or_self, user::get),
        iam!("ListUsers" => own_account, user::list),
        iam!("CreateGroup" => target::new_group, group::create),
        iam!("GetGroup" => target::group, group::get),
        iam!("ListGroups" => own_account, group::list),
        iam!("ListGroupsForUser" => target::user, group::of_user),
        iam!("AddUserToGroup" => target::group, group::add_user),
        iam!("RemoveUserFromGroup" => target::group, group::remove_user),
        iam!("CreateAccessKey" => target::user_or_self, access_key::create),
        iam!("ListAccessKeys" => target::user_or_self, access_key::list),
        iam!("UpdateAccessKey" => target::user_or_self, access_key::update),
        iam!("DeleteAccessKey" => target::user_or_self, access_key::delete),
        iam!("CreatePolicy" => target::new_policy, policy::create),
        iam!("GetPolicy" => target::policy, policy::get),
        iam!("ListPolicies" => own_account, policy::list),
        iam!("DeletePolicy" => target::policy, policy::delete),
        iam!("TagPolicy" => target::policy, policy::tag),
        iam!("UntagPolicy" => target::policy, policy::untag),
        iam!("ListPolicyTags" => target::policy, policy::list_tags),
        iam!("CreatePolicyVersion" => target::policy, policy::create_version),
        iam!("GetPolicyVersion" => target::policy, policy::get_version),
        iam!("ListPolicyVersions" => target::policy, policy::list_versions),
        iam!("SetDefaultPolicyVersion" => target::policy, policy::set_default_version),
        iam!("DeletePolicyVersion" => target::policy, policy::delete_version),
    ];
    rows.extend(holder_rows!("Role", target::role));
    rows.extend(holder_rows!("User", target::user));
    rows.extend(holder_rows!("Group", target::group));
    rows.extend(principal_rows!("Role", target::role));
    rows.extend(principal_rows!("User", target::user));
    rows
}
