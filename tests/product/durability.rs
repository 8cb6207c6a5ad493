//! Promise: an accepted event is never lost.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use dormouse_tests::{Client, Dormouse, Options};

super::shown_in_python! { "durability" on at_once() =>
    accepted_events_run,
    failed_events_are_tried_again_and_kept,
    events_of_a_stopped_function_are_kept,
    destinations_get_the_record,
}

mod with_long_delays {
    use dormouse_tests::Options;

    crate::shown_in_python! {
        "durability" on Options::default().with("functions.async.retry_delays_secs", 120) =>
        events_that_would_become_too_old_are_given_up,
    }
}

/// The delays that are minutes in production.
fn at_once() -> Options {
    let options = Options::default().with("functions.async.retry_delays_secs", 0);
    options.with("functions.async.lease_secs", 2)
}

/// Senders count what was accepted, from outside; the platform is killed while they send, again and again. In the end
/// every accepted event must have come to its end: the function always fails, so each is a dead letter.
#[test]
fn kill_nine_loses_no_accepted_event() -> Result<()> {
    let seconds = std::env::var("DORMOUSE_SOAK_SECS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut platform = Dormouse::start_with(at_once())?;
    Client::of(&platform).python_with("durability", "create_failing", &[("FUNCTION", "failing".to_owned())])?;
    let mut accepted = BTreeSet::new();
    let mut crashes: u64 = 0;
    while Instant::now() < until || crashes < 3 {
        let sender = Client::of(&platform).python_lines("durability", "send_until_told", &[("FUNCTION", "failing")])?;
        // Another moment each time, from within the first commits to well into the work on the queue.
        sender.wait_for_lines(1 + (crashes * 37 % 200) as usize);
        platform.crash_and_restart()?;
        accepted.extend(sender.end()?);
        crashes += 1;
    }
    ensure!(!accepted.is_empty(), "nothing was accepted");
    let list = accepted.iter().cloned().collect::<Vec<_>>().join("\n");
    let file = platform.data_dir().with_file_name("accepted");
    std::fs::write(&file, list)?;
    Client::of(&platform).python_with(
        "durability",
        "all_accepted_came_to_their_end",
        &[("FUNCTION", "failing".to_owned()), ("ACCEPTED", file.display().to_string())],
    )?;
    println!("{crashes} crashes, {} accepted events, none lost", accepted.len());
    Ok(())
}

/// What was created before a crash is there after it, and runs.
#[test]
fn kill_nine_loses_no_function() -> Result<()> {
    let mut platform = Dormouse::start()?;
    for round in 0..5 {
        let name = format!("kept-{round}");
        Client::of(&platform).python_with("durability", "create_answering", &[("FUNCTION", name)])?;
        platform.crash_and_restart()?;
        for earlier in 0..=round {
            let name = format!("kept-{earlier}");
            Client::of(&platform).python_with("durability", "it_answers", &[("FUNCTION", name)])?;
        }
    }
    Ok(())
}

/// What people put into variables cannot be read in any file of the platform; it is there after a restart, and so is the
/// code behind a link that was given out before.
#[test]
fn variables_are_sealed_on_disk_and_links_outlive_the_process() -> Result<()> {
    const SECRET: &str = "an-open-secret-of-somebody";
    let mut platform = Dormouse::start()?;
    let lines = Client::of(&platform).python_lines("durability", "create_with_secrets", &[("SECRET", SECRET)])?;
    let link = lines.finish()?.pop().unwrap_or_default();
    no_file_holds(&platform.data_dir(), SECRET)?;
    platform.crash_and_restart()?;
    let variables = [("SECRET", SECRET.to_owned()), ("LINK", link)];
    Client::of(&platform).python_with("durability", "secrets_are_there", &variables)?;
    platform.stop()?;
    no_file_holds(&platform.data_dir(), SECRET)
}

fn no_file_holds(dir: &Path, text: &str) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let about = path.symlink_metadata()?;
        if about.is_dir() {
            no_file_holds(&path, text)?;
        } else if about.is_file() {
            let bytes = std::fs::read(&path)?;
            ensure!(!bytes.windows(text.len()).any(|part| part == text.as_bytes()), "{} holds it", path.display());
        }
    }
    Ok(())
}
