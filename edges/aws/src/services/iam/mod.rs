//! IAM. Actions and resources follow the public service authorization reference; the rules are the identity engine's.

mod access_key;
mod error;
mod grants;
mod policy;
mod role;
mod target;
mod user;
mod wire;

use crate::operation::{Row, own_account, row};

/// What is built.
pub fn rows() -> Vec<Row> {
    let mut rows = role_rows();
    rows.extend(user_rows());
    rows.extend(policy_rows());
    rows
}

fn role_rows() -> Vec<Row> {
    vec![
        row("CreateRole", "iam:CreateRole", target::new_role, role::create),
        row("GetRole", "iam:GetRole", target::role, role::get),
        row("ListRoles", "iam:ListRoles", own_account, role::list),
        row("UpdateRole", "iam:UpdateRole", target::role, role::update),
        row("UpdateRoleDescription", "iam:UpdateRoleDescription", target::role, role::update_description),
        row("UpdateAssumeRolePolicy", "iam:UpdateAssumeRolePolicy", target::role, role::update_trust),
        row("DeleteRole", "iam:DeleteRole", target::role, role::delete),
        row("TagRole", "iam:TagRole", target::role, role::tag),
        row("UntagRole", "iam:UntagRole", target::role, role::untag),
        row("ListRoleTags", "iam:ListRoleTags", target::role, role::list_tags),
        row("PutRolePolicy", "iam:PutRolePolicy", target::role, grants::put_role_policy),
        row("GetRolePolicy", "iam:GetRolePolicy", target::role, grants::get_role_policy),
        row("DeleteRolePolicy", "iam:DeleteRolePolicy", target::role, grants::delete_role_policy),
        row("ListRolePolicies", "iam:ListRolePolicies", target::role, grants::list_role_policies),
        row("AttachRolePolicy", "iam:AttachRolePolicy", target::role, grants::attach_to_role),
        row("DetachRolePolicy", "iam:DetachRolePolicy", target::role, grants::detach_from_role),
        row("ListAttachedRolePolicies", "iam:ListAttachedRolePolicies", target::role, grants::list_attached_to_role),
        row("ListInstanceProfilesForRole", "iam:ListInstanceProfilesForRole", target::role, role::instance_profiles),
    ]
}

fn user_rows() -> Vec<Row> {
    vec![
        row("CreateUser", "iam:CreateUser", target::new_user, user::create),
        row("GetUser", "iam:GetUser", target::user_or_self, user::get),
        row("ListUsers", "iam:ListUsers", own_account, user::list),
        row("DeleteUser", "iam:DeleteUser", target::user, user::delete),
        row("TagUser", "iam:TagUser", target::user, user::tag),
        row("UntagUser", "iam:UntagUser", target::user, user::untag),
        row("ListUserTags", "iam:ListUserTags", target::user, user::list_tags),
        row("ListGroupsForUser", "iam:ListGroupsForUser", target::user, user::groups),
        row("PutUserPolicy", "iam:PutUserPolicy", target::user, grants::put_user_policy),
        row("GetUserPolicy", "iam:GetUserPolicy", target::user, grants::get_user_policy),
        row("DeleteUserPolicy", "iam:DeleteUserPolicy", target::user, grants::delete_user_policy),
        row("ListUserPolicies", "iam:ListUserPolicies", target::user, grants::list_user_policies),
        row("AttachUserPolicy", "iam:AttachUserPolicy", target::user, grants::attach_to_user),
        row("DetachUserPolicy", "iam:DetachUserPolicy", target::user, grants::detach_from_user),
        row("ListAttachedUserPolicies", "iam:ListAttachedUserPolicies", target::user, grants::list_attached_to_user),
        row("CreateAccessKey", "iam:CreateAccessKey", target::user_or_self, access_key::create),
        row("ListAccessKeys", "iam:ListAccessKeys", target::user_or_self, access_key::list),
        row("UpdateAccessKey", "iam:UpdateAccessKey", target::user_or_self, access_key::update),
        row("DeleteAccessKey", "iam:DeleteAccessKey", target::user_or_self, access_key::delete),
    ]
}

fn policy_rows() -> Vec<Row> {
    vec![
        row("CreatePolicy", "iam:CreatePolicy", target::new_policy, policy::create),
        row("GetPolicy", "iam:GetPolicy", target::policy, policy::get),
        row("ListPolicies", "iam:ListPolicies", own_account, policy::list),
        row("DeletePolicy", "iam:DeletePolicy", target::policy, policy::delete),
        row("CreatePolicyVersion", "iam:CreatePolicyVersion", target::policy, policy::create_version),
        row("GetPolicyVersion", "iam:GetPolicyVersion", target::policy, policy::get_version),
        row("ListPolicyVersions", "iam:ListPolicyVersions", target::policy, policy::list_versions),
        row("SetDefaultPolicyVersion", "iam:SetDefaultPolicyVersion", target::policy, policy::set_default_version),
        row("DeletePolicyVersion", "iam:DeletePolicyVersion", target::policy, policy::delete_version),
    ]
}
