//! Promise: a function gets its own machine and nothing of anybody else's, whoever runs the platform.

use dormouse_tests::Options;

/// The same promises, whoever runs the platform.
macro_rules! whoever_runs_it {
    ($($function:ident),+ $(,)?) => {
        mod as_the_user_who_runs_the_tests {
            use dormouse_tests::Options;

            crate::shown_in_python! { "isolation" on Options::default() => $($function),+ }
            crate::shown_in_python! { "isolation" on super::idle_for_a_second(Options::default()) => the_idle_end }
        }

        mod as_an_ordinary_user {
            use dormouse_tests::Options;

            crate::shown_in_python! { "isolation" on Options::default().ordinary() => $($function),+ }
            crate::shown_in_python! { "isolation" on super::idle_for_a_second(Options::default().ordinary()) => the_idle_end }
        }
    };
}

fn idle_for_a_second(options: Options) -> Options {
    options.with("functions.idle_expiry_secs", 1)
}

whoever_runs_it! {
    it_sees_only_itself,
    files_of_the_host_are_out_of_reach,
    only_tmp_can_be_written,
    the_disk_is_bounded,
    processes_are_bounded,
    what_it_forked_is_gone_after_a_timeout,
    kernel_interfaces_are_refused,
    the_network_is_closed,
    one_function_cannot_see_another,
    misbehaving_runtimes_are_contained,
    closing_everything_hurts_only_itself,
    a_neighbour_keeps_answering,
    memory_is_bounded,
    setuid_programs_do_nothing,
    init_does_not_move,
    kernel_settings_cannot_be_changed,
    nothing_is_inherited,
    descriptors_are_bounded,
    abstract_sockets_of_the_host_are_out_of_reach,
    what_is_idle_stands_still,
    a_flood_of_output_is_bounded,
}

mod what_must_hold {
    use std::os::unix::process::CommandExt;

    use anyhow::{Context, Result, ensure};
    use dormouse_tests::{Dormouse, Options, Output};
    use serde_json::Value;

    /// A layer that only root has.
    const ONLY_ROOTS: &str = "own-uid";
    const ORDINARY_UID: u32 = 65_534;

    #[test]
    fn a_node_does_not_start_with_less_than_is_required() -> Result<()> {
        for (required, said) in [(ONLY_ROOTS, "run as root"), ("seccomp,secomp", "secomp")] {
            let options = Options::default().ordinary().with("sandbox.require", required);
            let error = Dormouse::start_with(options).err().context("it started")?.to_string();
            ensure!(error.contains(said) && error.contains("sandbox.require"), "{error}");
        }
        Dormouse::start_with(Options::default().ordinary().with("sandbox.require", "seccomp, pid-namespace"))?;
        Ok(())
    }

    /// What the doctor says to one user, and its exit code.
    fn doctor(platform: &Dormouse, ordinary: bool, require: &str) -> Result<(i32, Vec<Value>)> {
        let data_dir = platform.data_dir().display().to_string();
        let words = ["doctor", "--data-dir", &data_dir, "--listen", "127.0.0.1:0", "--output", "json"];
        let mut command = platform.command(&words);
        command.env("DORMOUSE_SANDBOX__REQUIRE", require);
        if ordinary && rustix::process::geteuid().is_root() {
            command.uid(ORDINARY_UID).gid(ORDINARY_UID);
        }
        let output = Output::of(&mut command)?;
        let checks: Result<Vec<Value>, _> = output.stdout.lines().map(serde_json::from_str).collect();
        Ok((output.code, checks.with_context(|| format!("{output:?}"))?))
    }

    fn state_of<'a>(checks: &'a [Value], name: &str) -> &'a str {
        let check = checks.iter().find(|check| check["name"] == name);
        check.and_then(|check| check["state"].as_str()).unwrap_or("unknown")
    }

    #[test]
    fn the_doctor_says_what_holds_and_ends_by_it() -> Result<()> {
        let ordinary = Dormouse::start_with(Options::default().ordinary())?;
        let (code, checks) = doctor(&ordinary, true, "")?;
        ensure!(code == 0, "{checks:#?}");
        for (layer, state) in
            [("seccomp", "holds"), ("pid-namespace", "holds"), ("user-namespace", "holds"), (ONLY_ROOTS, "weaker")]
        {
            ensure!(state_of(&checks, layer) == state, "{layer}: {checks:#?}");
        }
        let mut layers = checks.iter().filter(|check| check["group"] == "sandbox");
        let remedies = layers.all(|check| check["state"] == "holds" || check["remedy"].is_string());
        ensure!(remedies, "something does not hold, and there is nothing to do about it: {checks:#?}");
        for (require, layer) in [(ONLY_ROOTS, ONLY_ROOTS), ("secomp", "secomp")] {
            let (code, checks) = doctor(&ordinary, true, require)?;
            let required = checks.iter().any(|check| check["name"] == layer && check["required"] == true);
            ensure!(code == 1 && required && state_of(&checks, layer) != "holds", "{code} {checks:#?}");
        }
        let (code, checks) = doctor(&Dormouse::start()?, false, "")?;
        let fails = |c: &&Value| c["group"] == "sandbox" && c["state"] != "holds" && c["required"] == true;
        let missing: Vec<_> = checks.iter().filter(fails).collect();
        ensure!(code == i32::from(!missing.is_empty()) || !rustix::process::geteuid().is_root(), "{missing:#?}");
        Ok(())
    }
}
