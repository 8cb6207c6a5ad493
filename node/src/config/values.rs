use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use dormouse_model::{AccountId, Region};

/// A type that a setting may have. Every source is read as text; a TOML list is its items joined by commas.
pub trait Value: Sized {
    /// What a value is, for error messages and the reference.
    const KIND: &'static str;
    /// Unit, empty when it has none.
    const UNIT: &'static str = "";
    /// Never printed.
    const SECRET: bool = false;
    /// Written without quotes in TOML.
    const BARE: bool = false;

    /// Reads the text; the error says what is allowed.
    fn parse(text: &str) -> Result<Self, String>;
    /// The number that a range applies to.
    fn number(&self) -> Option<u64> {
        None
    }
    /// Prints it so that [`Value::parse`] reads it back.
    fn show(&self) -> String;
}

macro_rules! number {
    ($type:ty) => {
        impl Value for $type {
            const KIND: &'static str = "whole number";
            const BARE: bool = true;
            fn parse(text: &str) -> Result<Self, String> {
                text.replace('_', "").parse().map_err(|_| format!("it takes a whole number up to {}", <$type>::MAX))
            }
            fn number(&self) -> Option<u64> {
                Some(u64::from(*self))
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    };
}
number!(u16);
number!(u32);
number!(u64);

macro_rules! measure {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl Value for $name {
            const KIND: &'static str = "whole number";
            const UNIT: &'static str = $unit;
            const BARE: bool = true;
            fn parse(text: &str) -> Result<Self, String> {
                let number = text.replace('_', "").parse();
                number.map(Self).map_err(|_| concat!("it takes a whole number of ", $unit).to_owned())
            }
            fn number(&self) -> Option<u64> {
                Some(self.0)
            }
            fn show(&self) -> String {
                self.0.to_string()
            }
        }
    };
}
measure! {
    /// A time in seconds.
    Seconds, "seconds"
}
measure! {
    /// A time in milliseconds.
    Millis, "milliseconds"
}
measure! {
    /// A size in MiB.
    Megabytes, "MB"
}
measure! {
    /// A size in bytes.
    Bytes, "bytes"
}

impl Seconds {
    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl Millis {
    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl Megabytes {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0.saturating_mul(1024 * 1024)
    }
}

impl Value for bool {
    const KIND: &'static str = "true or false";
    const BARE: bool = true;
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("it takes true or false".to_owned()),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

macro_rules! parsed {
    ($type:ty, $kind:literal) => {
        impl Value for $type {
            const KIND: &'static str = $kind;
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| concat!("it takes ", $kind).to_owned())
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    };
}
parsed!(SocketAddr, "an address and port such as 127.0.0.1:4566");
parsed!(Region, "1 to 32 lower-case letters, digits and dashes");
parsed!(AccountId, "exactly 12 digits");

impl Value for String {
    const KIND: &'static str = "text";
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("it takes some text".to_owned()) } else { Ok(text.to_owned()) }
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    const KIND: &'static str = "path";
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("it takes a path".to_owned()) } else { Ok(Self::from(text)) }
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;
    const UNIT: &'static str = T::UNIT;
    const SECRET: bool = T::SECRET;
    const BARE: bool = T::BARE;
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }
    fn number(&self) -> Option<u64> {
        self.as_ref().and_then(T::number)
    }
    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }
}

/// Several values, in TOML a list, in the environment separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> std::ops::Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Value> Value for List<T> {
    const KIND: &'static str = "list";
    const UNIT: &'static str = T::UNIT;
    const BARE: bool = T::BARE;
    fn parse(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words
            .map(|word| T::parse(word).map_err(|allowed| format!("{word:?}: {allowed}")))
            .collect::<Result<_, _>>()
            .map(Self)
    }
    fn show(&self) -> String {
        self.0.iter().map(T::show).collect::<Vec<_>>().join(",")
    }
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Value for Secret {
    const KIND: &'static str = "text";
    const SECRET: bool = true;
    fn parse(text: &str) -> Result<Self, String> {
        String::parse(text).map(Self)
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

/// How the node writes its own log to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people, coloured on a terminal.
    Text,
    /// One JSON object for each line.
    Json,
}

impl Value for LogFormat {
    const KIND: &'static str = "text or json";
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("it takes text or json".to_owned()),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Json => "json".to_owned(),
        }
    }
}
