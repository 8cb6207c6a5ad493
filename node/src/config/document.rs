//! What is written from the registry: the reference for people and the example file.

use std::fmt::Write as _;

use super::declare::Setting;
use super::sections::Config;
use super::sources::env_name;

/// The Markdown of `docs/configuration.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         One TOML file (`--config FILE`, or the variable `DORMOUSE_CONFIG`), environment variables and flags. A flag is \
         stronger than\na variable, a variable stronger than the file. `dormouse config` prints what holds and who said \
         so. An unknown key is an\nerror. Lists are written `[1, 2]` in the file and `1,2` in a variable.\n\n\
         This page is written from the registry in `node/src/config/sections.rs`; `packaging/dormouse.example.toml` too.\n",
    );
    for (section, settings) in by_section() {
        let title = if section.is_empty() { "General".to_owned() } else { format!("`[{section}]`") };
        let _ = write!(text, "\n## {title}\n\n| Key | Default | Takes | What it is |\n|---|---|---|---|\n");
        for setting in settings {
            let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
            let key = setting.key;
            let _ = writeln!(
                text,
                "| `{key}`<br>`{}` | {default} | {} | {} |",
                env_name(key),
                takes(setting),
                sentence(setting)
            );
        }
    }
    text
}

/// The text of an example file in which every setting stands with its default, commented out.
pub fn example_file() -> String {
    let mut text = String::from("# Every setting of Dormouse with its default. Uncomment what you change.\n");
    for (section, settings) in by_section() {
        if !section.is_empty() {
            let _ = write!(text, "\n[{section}]\n");
        }
        for setting in settings {
            let name = setting.key.rsplit('.').next().unwrap_or(setting.key);
            let _ = write!(
                text,
                "\n# {}\n# Takes: {}\n# {name} = {}\n",
                sentence(setting),
                takes(setting),
                toml_text(setting)
            );
        }
    }
    text
}

fn by_section() -> Vec<(&'static str, Vec<&'static Setting>)> {
    let mut sections: Vec<(&str, Vec<&Setting>)> = Vec::new();
    for setting in Config::settings() {
        let section = setting.key.rsplit_once('.').map_or("", |(section, _)| section);
        match sections.last_mut() {
            Some((last, settings)) if *last == section => settings.push(setting),
            _ => sections.push((section, vec![setting])),
        }
    }
    sections
}

fn sentence(setting: &Setting) -> String {
    setting.doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn takes(setting: &Setting) -> String {
    let unit = if setting.unit.is_empty() { String::new() } else { format!(" {}", setting.unit) };
    match setting.range {
        Some((least, most)) => format!("{least} to {most}{unit}"),
        None if setting.unit.is_empty() => setting.kind.to_owned(),
        None => format!("{} of{unit}", setting.kind),
    }
}

fn toml_text(setting: &Setting) -> String {
    let quote = |word: &str| if setting.bare { word.to_owned() } else { format!("{word:?}") };
    if setting.kind == "list" {
        let words: Vec<String> = setting.default.split(',').filter(|word| !word.is_empty()).map(quote).collect();
        format!("[{}]", words.join(", "))
    } else {
        quote(setting.default)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::{Sources, resolve};

    fn golden(path: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        if std::env::var_os("DORMOUSE_TEST_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, text).expect("the golden file is written");
        }
        let golden = std::fs::read_to_string(&path).expect("the golden file is there");
        assert!(golden == text, "{} is stale: run the test with DORMOUSE_TEST_WRITE_GOLDEN=1", path.display());
    }

    #[test]
    fn the_reference_is_what_the_registry_says() {
        golden("docs/configuration.md", &reference());
    }

    #[test]
    fn the_example_file_is_what_the_registry_says() {
        golden("packaging/dormouse.example.toml", &example_file());
    }

    #[test]
    fn the_example_file_uncommented_changes_nothing() {
        let lines: Vec<&str> = example_file().leak().lines().collect();
        // Absent values are written as empty text, which only settings that may be absent take.
        let settings = lines.iter().filter_map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")));
        assert_eq!(settings.count(), Config::settings().len());
        let is_setting = |line: &str| line.strip_prefix("# ").is_some_and(|rest| rest.contains(" = "));
        let uncommented: Vec<&str> =
            lines.iter().map(|line| if is_setting(line) { &line[2..] } else { line }).collect();
        let text = uncommented.join("\n").replace("data_dir = \"\"", "data_dir = \"/d\"");
        let sources = Sources { file: Some((PathBuf::from("d.toml"), text)), ..Sources::default() };
        let resolution = resolve(&sources).expect("the example holds");
        let changed = resolution.values.iter().filter(|row| row.value != row.setting.default);
        assert_eq!(changed.map(|row| row.setting.key).collect::<Vec<_>>(), ["data_dir"]);
    }
}
