//! The promises of the product, each kept by the real binary and shown by real clients.

mod cli;
mod durability;
mod egress;
mod functions;
mod identity;
mod isolation;
mod operations;
mod runtimes;

/// One test for each function of a Python module in `tests/clients/`, each against a platform of its own.
macro_rules! shown_in_python {
    ($module:literal on $options:expr => $($function:ident),+ $(,)?) => {
        $(
            #[test]
            fn $function() -> anyhow::Result<()> {
                let platform = dormouse_tests::Dormouse::start_with($options)?;
                dormouse_tests::Client::of(&platform).python($module, stringify!($function))
            }
        )+
    };
}
use shown_in_python;
