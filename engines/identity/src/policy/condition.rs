//! The condition block: operators, set operators, `IfExists` and `Null`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Context;
use super::pattern::{ArnPattern, Pattern};

/// What a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    EqualsIgnoreCase,
    Like,
    Numeric(Comparison),
    Date(Comparison),
    Bool,
    Binary,
    Ip,
    Arn,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// For which of a key's values a condition must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// No set operator: the key has one value.
    Single,
    All,
    Any,
}

/// A value of the policy, in the form its operator needs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    Text(Pattern),
    Arn(ArnPattern),
}

/// `Operator: { key: [values] }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    operator: Operator,
    negated: bool,
    quantifier: Quantifier,
    if_exists: bool,
    /// In lower case.
    key: String,
    operands: Vec<Operand>,
}

impl Condition {
    /// Reads one entry; the error is a sentence on what is wrong.
    pub(super) fn parse(operator: &str, key: &str, values: &[String], variables: bool) -> Result<Self, String> {
        let (quantifier, name) = match operator.split_once(':') {
            Some(("ForAllValues", name)) => (Quantifier::All, name),
            Some(("ForAnyValue", name)) => (Quantifier::Any, name),
            Some(_) => return Err(format!("Invalid Condition type : {operator}.")),
            None => (Quantifier::Single, operator),
        };
        let (base, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |base| (base, true));
        let (operator, negated) = named(base).ok_or_else(|| format!("Invalid Condition type : {name}."))?;
        if operator == Operator::Null && (if_exists || quantifier != Quantifier::Single) {
            return Err(format!("Invalid Condition type : {name}."));
        }
        if !key.contains(':') {
            return Err(format!("Condition key {key:?} must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."));
        }
        let operand = |value: &String| match operator {
            Operator::Arn => Operand::Arn(ArnPattern::parse(value, variables)),
            Operator::Like => Operand::Text(Pattern::parse(value, true, variables)),
            _ => Operand::Text(Pattern::parse(value, false, variables)),
        };
        let operands = values.iter().map(operand).collect();
        Ok(Self { operator, negated, quantifier, if_exists, key: key.to_ascii_lowercase(), operands })
    }

    /// Whether the condition holds.
    pub(super) fn holds(&self, context: &Context) -> bool {
        let values = context.get(&self.key);
        if self.operator == Operator::Null {
            let absent = values.is_none_or(<[String]>::is_empty);
            return self.texts(context).any(|text| {
                (text.eq_ignore_ascii_case("true") && absent) || (text.eq_ignore_ascii_case("false") && !absent)
            });
        }
        let Some(values) = values else {
            return self.if_exists
                || self.quantifier == Quantifier::All
                || (self.negated && self.quantifier == Quantifier::Single);
        };
        let passes =
            |value: &String| self.operands.iter().any(|operand| self.compare(operand, value, context)) != self.negated;
        match self.quantifier {
            Quantifier::All => values.iter().all(passes),
            Quantifier::Any => values.iter().any(passes),
            // Several values without a set operator: all must pass a negation, one is enough otherwise.
            Quantifier::Single if self.negated => values.iter().all(passes),
            Quantifier::Single => values.iter().any(passes),
        }
    }

    fn texts<'a>(&'a self, context: &'a Context) -> impl Iterator<Item = Cow<'a, str>> {
        self.operands.iter().filter_map(|operand| match operand {
            Operand::Text(pattern) => pattern.expand(context),
            Operand::Arn(_) => None,
        })
    }

    fn compare(&self, operand: &Operand, value: &str, context: &Context) -> bool {
        let pattern = match operand {
            Operand::Arn(pattern) => return pattern.matches(value, context),
            Operand::Text(pattern) if self.operator == Operator::Like => return pattern.matches(value, context),
            Operand::Text(pattern) => pattern,
        };
        let Some(wanted) = pattern.expand(context) else { return false };
        match self.operator {
            Operator::Equals => wanted == value,
            Operator::EqualsIgnoreCase => wanted.to_lowercase() == value.to_lowercase(),
            Operator::Bool => wanted.eq_ignore_ascii_case(value),
            Operator::Numeric(comparison) => compare(number(value), number(&wanted), comparison),
            Operator::Date(comparison) => compare(date(value), date(&wanted), comparison),
            Operator::Binary => binary(&wanted).is_some_and(|wanted| binary(value) == Some(wanted)),
            Operator::Ip => in_network(value, &wanted),
            Operator::Like | Operator::Arn | Operator::Null => false,
        }
    }
}

fn named(base: &str) -> Option<(Operator, bool)> {
    let comparison = |name: &str| {
        Some(match name {
            "Equals" => (Comparison::Equal, false),
            "NotEquals" => (Comparison::Equal, true),
            "LessThan" => (Comparison::Less, false),
            "LessThanEquals" => (Comparison::LessEqual, false),
            "GreaterThan" => (Comparison::Greater, false),
            "GreaterThanEquals" => (Comparison::GreaterEqual, false),
            _ => return None,
        })
    };
    if let Some(rest) = base.strip_prefix("Numeric") {
        return comparison(rest).map(|(comparison, negated)| (Operator::Numeric(comparison), negated));
    }
    if let Some(rest) = base.strip_prefix("Date") {
        return comparison(rest).map(|(comparison, negated)| (Operator::Date(comparison), negated));
    }
    Some(match base {
        "StringEquals" => (Operator::Equals, false),
        "StringNotEquals" => (Operator::Equals, true),
        "StringEqualsIgnoreCase" => (Operator::EqualsIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (Operator::EqualsIgnoreCase, true),
        "StringLike" => (Operator::Like, false),
        "StringNotLike" => (Operator::Like, true),
        "Bool" => (Operator::Bool, false),
        "BinaryEquals" => (Operator::Binary, false),
        "IpAddress" => (Operator::Ip, false),
        "NotIpAddress" => (Operator::Ip, true),
        "ArnEquals" | "ArnLike" => (Operator::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Operator::Arn, true),
        "Null" => (Operator::Null, false),
        _ => return None,
    })
}

fn compare<T: PartialOrd>(value: Option<T>, wanted: Option<T>, comparison: Comparison) -> bool {
    let (Some(value), Some(wanted)) = (value, wanted) else { return false };
    let Some(order) = value.partial_cmp(&wanted) else { return false };
    match comparison {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessEqual => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterEqual => order != Ordering::Less,
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Milliseconds since the epoch of an ISO 8601 date or time, or of seconds since the epoch.
fn date(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(stamp.as_millisecond());
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    let stamp = jiff::tz::Offset::UTC.to_timestamp(day.to_datetime(jiff::civil::Time::midnight())).ok()?;
    Some(stamp.as_millisecond())
}

fn binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Whether an address lies in `ADDRESS` or `ADDRESS/BITS`.
fn in_network(address: &str, network: &str) -> bool {
    let (base, bits) = network.split_once('/').map_or((network, None), |(base, bits)| (base, Some(bits)));
    let (Ok(address), Ok(base)) = (address.parse::<IpAddr>(), base.parse::<IpAddr>()) else { return false };
    let (address, base, width) = match (address.to_canonical(), base.to_canonical()) {
        (IpAddr::V4(address), IpAddr::V4(base)) => (u128::from(address.to_bits()), u128::from(base.to_bits()), 32),
        (IpAddr::V6(address), IpAddr::V6(base)) => (address.to_bits(), base.to_bits(), 128),
        _ => return false,
    };
    let Ok(bits) = bits.map_or(Ok(width), str::parse::<u32>) else { return false };
    if bits > width {
        return false;
    }
    let ignored = width - bits;
    ignored == 128 || (address >> ignored) == (base >> ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, key: &str, values: &[&str], context: &Context) -> bool {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        Condition::parse(operator, key, &values, true).expect("a condition").holds(context)
    }

    fn context() -> Context {
        let mut context = Context::new();
        context
            .set("aws:SourceIp", "10.1.2.3")
            .set("aws:CurrentTime", "2026-11-23T05:28:44Z")
            .set("aws:EpochTime", "1795411724")
            .set("x:number", "7")
            .set("x:text", "Abc")
            .set("x:bool", "true")
            .set("aws:SourceArn", "arn:aws:s3:::bucket")
            .set_all("aws:TagKeys", vec!["a".to_owned(), "b".to_owned()]);
        context
    }

    #[test]
    fn operators_compare_what_they_say() {
        let context = context();
        for (operator, key, value, expected) in [
            ("StringEquals", "X:Text", "Abc", true),
            ("StringEquals", "x:text", "abc", false),
            ("StringEquals", "x:text", "A*", false),
            ("StringNotEquals", "x:text", "abc", true),
            ("StringEqualsIgnoreCase", "x:text", "aBC", true),
            ("StringLike", "x:text", "A?c*", true),
            ("StringNotLike", "x:text", "A*", false),
            ("NumericEquals", "x:number", "7.0", true),
            ("NumericLessThan", "x:number", "8", true),
            ("NumericGreaterThanEquals", "x:number", "8", false),
            ("NumericEquals", "x:text", "7", false),
            ("DateGreaterThan", "aws:CurrentTime", "2026-11-23", true),
            ("DateLessThan", "aws:CurrentTime", "2026-11-23T05:28:44Z", false),
            ("DateLessThanEquals", "aws:EpochTime", "1795411724", true),
            ("Bool", "x:bool", "True", true),
            ("Bool", "x:bool", "false", false),
            ("IpAddress", "aws:SourceIp", "10.0.0.0/8", true),
            ("IpAddress", "aws:SourceIp", "10.1.2.4", false),
            ("IpAddress", "aws:SourceIp", "0.0.0.0/0", true),
            ("IpAddress", "aws:SourceIp", "::/0", false),
            ("IpAddress", "aws:SourceIp", "10.0.0.0/33", false),
            ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", false),
            ("ArnLike", "aws:SourceArn", "arn:aws:s3:::b*", true),
            ("ArnNotEquals", "aws:SourceArn", "arn:aws:s3:::bucket", false),
            ("Null", "x:absent", "true", true),
            ("Null", "x:text", "true", false),
            ("Null", "x:text", "false", true),
        ] {
            assert_eq!(holds(operator, key, &[value], &context), expected, "{operator} {key} {value}");
        }
    }

    #[test]
    fn an_absent_key_passes_negations_and_if_exists_only() {
        let context = context();
        assert!(!holds("StringEquals", "x:absent", &["a"], &context));
        assert!(holds("StringNotEquals", "x:absent", &["a"], &context));
        assert!(holds("StringEqualsIfExists", "x:absent", &["a"], &context));
        assert!(!holds("StringEqualsIfExists", "x:text", &["a"], &context));
        assert!(holds("ForAllValues:StringEquals", "x:absent", &["a"], &context));
        assert!(!holds("ForAnyValue:StringEquals", "x:absent", &["a"], &context));
        assert!(!holds("ForAnyValue:StringNotEquals", "x:absent", &["a"], &context));
    }

    #[test]
    fn sets_are_quantified() {
        let context = context();
        let all = |operator: &str, values: &[&str]| holds(operator, "aws:TagKeys", values, &context);
        assert!(all("ForAllValues:StringEquals", &["a", "b", "c"]));
        assert!(!all("ForAllValues:StringEquals", &["a"]));
        assert!(all("ForAnyValue:StringEquals", &["a"]));
        assert!(all("ForAnyValue:StringNotEquals", &["a"]));
        assert!(!all("ForAllValues:StringNotEquals", &["a"]));
    }

    #[test]
    fn unknown_operators_and_keys_are_refused() {
        for (operator, key) in [
            ("StringEqual", "a:b"),
            ("ForSome:StringEquals", "a:b"),
            ("NullIfExists", "a:b"),
            ("StringEquals", "b"),
            ("NumericLike", "a:b"),
        ] {
            assert!(Condition::parse(operator, key, &[], true).is_err(), "{operator} {key} was accepted");
        }
    }
}
