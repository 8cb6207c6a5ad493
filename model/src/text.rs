//! Types that are kept and printed as text.

/// Serde's way through text: what `Display` writes and `FromStr` reads.
macro_rules! kept_as_text {
    ($name:ident, $error:ty) => {
        impl TryFrom<String> for $name {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

/// The same for a newtype around a `String`, which is printed as it is.
macro_rules! text_newtype {
    ($name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        crate::text::kept_as_text!($name, crate::NameError);
    };
}

pub(crate) use {kept_as_text, text_newtype};
