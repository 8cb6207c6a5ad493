//! How a section of the configuration is declared: one macro makes the struct, the registry rows and the reader.

/// One setting: a row of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Dotted, as in the file: `functions.idle_expiry_secs`.
    pub key: &'static str,
    /// One line of documentation.
    pub doc: &'static str,
    /// What holds when nothing is said, written as it would be in the environment. Empty: absent.
    pub default: &'static str,
    /// What a value is, such as `whole number`.
    pub kind: &'static str,
    /// The unit of the value; empty when it has none.
    pub unit: &'static str,
    /// Least and most that is allowed, for numbers.
    pub range: Option<(u64, u64)>,
    /// Never printed.
    pub secret: bool,
    /// Written bare in TOML: a number, a truth value or a list of them.
    pub bare: bool,
}

/// Declares a section. Fields are `name: Type = "default"`, or `name: Type = "default", least..=most`.
macro_rules! section {
    (
        $(#[$outer:meta])*
        $name:ident at $prefix:literal {
            $( $(#[doc = $doc:literal])+ $field:ident : $type:ty = $default:literal $(, $least:literal ..= $most:literal)? ; )*
        }
        $( with { $( #[doc = $sub_doc:literal] $sub:ident : $sub_type:ty ; )* } )?
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )*
            $( $( #[doc = $sub_doc] pub $sub: $sub_type, )* )?
        }

        impl $name {
            const SETTINGS: &'static [$crate::config::declare::Setting] = &[
                $( $crate::config::declare::Setting {
                    key: concat!($prefix, stringify!($field)),
                    doc: concat!($($doc),+),
                    default: $default,
                    kind: <$type as $crate::config::values::Value>::KIND,
                    unit: <$type as $crate::config::values::Value>::UNIT,
                    range: section!(@range $($least $most)?),
                    secret: <$type as $crate::config::values::Value>::SECRET,
                    bare: <$type as $crate::config::values::Value>::BARE,
                }, )*
            ];

            pub(crate) fn settings() -> Vec<&'static $crate::config::declare::Setting> {
                #[allow(unused_mut)]
                let mut all: Vec<_> = Self::SETTINGS.iter().collect();
                $( $( all.extend(<$sub_type>::settings()); )* )?
                all
            }

            pub(crate) fn read(reader: &mut $crate::config::resolve::Reader) -> Self {
                let mut rows = Self::SETTINGS.iter();
                Self {
                    $( $field: reader.take::<$type>(rows.next().expect("one row for each field")), )*
                    $( $( $sub: <$sub_type>::read(reader), )* )?
                }
            }
        }
    };
    (@range) => { None };
    (@range $least:literal $most:literal) => { Some(($least, $most)) };
}
pub(crate) use section;
