//! The managed policies that exist everywhere and that tools attach by ARN. The documents are ours, written from what the
//! public pages say each allows, as far as this product has the services.

use std::sync::LazyLock;

use crate::records::PolicyText;

/// A managed policy of the platform.
pub struct PlatformPolicy {
    /// `arn:aws:iam::aws:policy/PATH/NAME`.
    pub arn: String,
    /// `/` or `/service-role/`.
    pub path: &'static str,
    /// Its name.
    pub name: &'static str,
    /// `ANPA...`; the same in every installation.
    pub id: &'static str,
    /// For people.
    pub description: &'static str,
    /// What it says.
    pub document: PolicyText,
}

struct Row {
    path: &'static str,
    name: &'static str,
    id: &'static str,
    description: &'static str,
    actions: &'static [&'static str],
}

const LOGS: [&str; 3] = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"];

const ROWS: [Row; 14] = [
    Row {
        path: "/",
        name: "AdministratorAccess",
        id: "ANPADORMOUSE000000001",
        description: "Everything.",
        actions: &["*"],
    },
    Row {
        path: "/",
        name: "PowerUserAccess",
        id: "ANPADORMOUSE000000002",
        description: "Everything but the management of users, roles and accounts.",
        actions: &[],
    },
    Row {
        path: "/",
        name: "ReadOnlyAccess",
        id: "ANPADORMOUSE000000003",
        description: "Reading and listing.",
        actions: &[
            "lambda:Get*",
            "lambda:List*",
            "iam:Get*",
            "iam:List*",
            "sts:Get*",
            "s3:Get*",
            "s3:List*",
            "sqs:Get*",
            "sqs:List*",
            "sqs:Receive*",
            "sns:Get*",
            "sns:List*",
            "dynamodb:BatchGet*",
            "dynamodb:Describe*",
            "dynamodb:Get*",
            "dynamodb:List*",
            "dynamodb:Query",
            "dynamodb:Scan",
            "logs:Describe*",
            "logs:Filter*",
            "logs:Get*",
            "events:Describe*",
            "events:List*",
            "states:Describe*",
            "states:Get*",
            "states:List*",
            "cloudformation:Describe*",
            "cloudformation:Get*",
            "cloudformation:List*",
        ],
    },
    Row {
        path: "/",
        name: "IAMFullAccess",
        id: "ANPADORMOUSE000000004",
        description: "All of IAM.",
        actions: &["iam:*"],
    },
    Row {
        path: "/",
        name: "IAMReadOnlyAccess",
        id: "ANPADORMOUSE000000005",
        description: "Reading IAM.",
        actions: &["iam:Get*", "iam:List*"],
    },
    Row {
        path: "/",
        name: "AWSLambda_FullAccess",
        id: "ANPADORMOUSE000000006",
        description: "All of Lambda, its logs, and handing roles to it.",
        actions: &["lambda:*", "logs:Describe*", "logs:Filter*", "logs:Get*", "iam:GetRole", "iam:ListRoles"],
    },
    Row {
        path: "/",
        name: "AWSLambda_ReadOnlyAccess",
        id: "ANPADORMOUSE000000007",
        description: "Reading Lambda and its logs.",
        actions: &["lambda:Get*", "lambda:List*", "logs:Describe*", "logs:Filter*", "logs:Get*"],
    },
    Row {
        path: "/service-role/",
        name: "AWSLambdaBasicExecutionRole",
        id: "ANPADORMOUSE000000008",
        description: "Writing the function's own log.",
        actions: &LOGS,
    },
    Row {
        path: "/service-role/",
        name: "AWSLambdaRole",
        id: "ANPADORMOUSE000000009",
        description: "Invoking functions.",
        actions: &["lambda:InvokeFunction"],
    },
    Row {
        path: "/service-role/",
        name: "AWSLambdaSQSQueueExecutionRole",
        id: "ANPADORMOUSE000000010",
        description: "Taking messages from queues, and the log.",
        actions: &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", LOGS[0], LOGS[1], LOGS[2]],
    },
    Row {
        path: "/service-role/",
        name: "AWSLambdaDynamoDBExecutionRole",
        id: "ANPADORMOUSE000000011",
        description: "Reading the streams of tables, and the log.",
        actions: &[
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
            LOGS[0],
            LOGS[1],
            LOGS[2],
        ],
    },
    Row {
        path: "/service-role/",
        name: "AWSLambdaVPCAccessExecutionRole",
        id: "ANPADORMOUSE000000012",
        description: "The log; this product has no private networks to attach to.",
        actions: &LOGS,
    },
    Row {
        path: "/",
        name: "AWSXRayDaemonWriteAccess",
        id: "ANPADORMOUSE000000013",
        description: "Writing traces.",
        actions: &[
            "xray:PutTraceSegments",
            "xray:PutTelemetryRecords",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
        ],
    },
    Row {
        path: "/",
        name: "AmazonS3ReadOnlyAccess",
        id: "ANPADORMOUSE000000014",
        description: "Reading objects and buckets.",
        actions: &["s3:Get*", "s3:List*"],
    },
];

static POLICIES: LazyLock<Vec<PlatformPolicy>> = LazyLock::new(|| ROWS.iter().map(policy).collect());

/// The managed policies of the platform.
pub fn all() -> &'static [PlatformPolicy] {
    &POLICIES
}

/// One of them, by its ARN.
pub fn find(arn: &str) -> Option<&'static PlatformPolicy> {
    arn.starts_with("arn:aws:iam::aws:policy/").then(|| POLICIES.iter().find(|policy| policy.arn == arn)).flatten()
}

fn policy(row: &Row) -> PlatformPolicy {
    let statement =
        |name: &str, actions: &[&str]| serde_json::json!({ "Effect": "Allow", name: actions, "Resource": "*" });
    let mut statements = Vec::new();
    if row.name == "PowerUserAccess" {
        statements.push(statement("NotAction", &["iam:*", "account:*", "organizations:*"]));
    } else {
        statements.push(statement("Action", row.actions));
    }
    if row.name == "AWSLambda_FullAccess" {
        let mut pass = statement("Action", &["iam:PassRole"]);
        pass["Condition"] = serde_json::json!({ "StringEquals": { "iam:PassedToService": "lambda.amazonaws.com" } });
        statements.push(pass);
    }
    let document = serde_json::json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    PlatformPolicy {
        arn: format!("arn:aws:iam::aws:policy{}{}", row.path, row.name),
        path: row.path,
        name: row.name,
        id: row.id,
        description: row.description,
        document: document.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Kind;

    #[test]
    fn every_policy_of_the_platform_can_be_read_and_found() {
        for policy in all() {
            assert!(policy.document.policy(Kind::Identity).is_some(), "{}", policy.name);
            assert_eq!(find(&policy.arn).map(|found| found.name), Some(policy.name));
            assert_eq!(policy.id.len(), 21, "{}", policy.name);
        }
        assert!(find("arn:aws:iam::aws:policy/Nothing").is_none());
        assert!(find("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole").is_some());
    }
}
