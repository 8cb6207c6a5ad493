//! The projects that `init` starts, embedded from `examples/`, which are also what the demo deploys.

/// A project to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Template {
    /// A function in Python
    Python,
    /// A function in JavaScript for Node.js
    Nodejs,
    /// A program of your own, here in Rust, on the provided runtime
    Provided,
}

/// One file of a project.
pub(crate) struct File {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    pub(crate) executable: bool,
}

macro_rules! files {
    ($dir:literal: $($path:literal),+ $(,)?) => {
        &[$(File { path: $path, text: include_str!(concat!("../../examples/", $dir, "/", $path)), executable: false }),+]
    };
}

impl Template {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Nodejs => "nodejs",
            Self::Provided => "provided",
        }
    }

    pub(crate) fn files(self) -> &'static [File] {
        match self {
            Self::Python => files!("python": "README.md", "template.yaml", "src/hello.py"),
            Self::Nodejs => files!("nodejs": "README.md", "template.yaml", "src/hello.js"),
            Self::Provided => files!("provided": "README.md", "template.yaml", "Cargo.toml", "src/main.rs", "build.sh"),
        }
    }

    /// What to type in the new directory.
    pub(crate) fn next_steps(self) -> &'static [&'static str] {
        match self {
            Self::Python | Self::Nodejs => &["dormouse deploy --name demo", "dormouse functions"],
            Self::Provided => &["sh build.sh", "dormouse deploy --name demo", "dormouse functions"],
        }
    }
}
