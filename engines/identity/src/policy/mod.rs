//! Policies: what they say, and one pure evaluator.
//!
//! Source: the public pages "IAM JSON policy reference" and "Policy evaluation logic".

mod condition;
mod context;
mod document;
mod evaluate;
#[cfg(test)]
mod evaluate_tests;
mod json;
mod pattern;
mod principal;

pub use context::Context;
pub use document::{Kind, MalformedPolicy, Policy};
pub use evaluate::{Decision, Policies, Question, Reason, Source, evaluate};
