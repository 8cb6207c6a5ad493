//! What a disk holds after the power was cut.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dormouse_testkit::Rng;

/// Something that happened, in order.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Write {
        file: String,
        at: usize,
        data: Arc<[u8]>,
    },
    Truncate {
        file: String,
        size: usize,
    },
    Sync {
        file: String,
    },
    Delete {
        file: String,
    },
    /// A batch was acknowledged to whoever had sent it.
    Ack {
        batch: usize,
    },
}

/// What becomes of what was written and not synced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unsynced {
    /// All of it is lost.
    Lost,
    /// Any of it is there, in any order, the last of it torn.
    Mixed,
    /// All of it is there: a crash of the program, not of the machine.
    Kept,
}

#[derive(Default)]
struct File {
    /// What a sync made last, if there was one: a name is taken to last with the first sync of its file.
    durable: Option<Vec<u8>>,
    pending: Vec<Event>,
}

/// Writes into `dir` the files as they are after these events and a cut.
pub(crate) fn rebuild(events: &[Event], unsynced: Unsynced, rng: &mut Rng, dir: &Path) {
    let mut files: BTreeMap<&str, File> = BTreeMap::new();
    for event in events {
        match event {
            Event::Write { file, .. } | Event::Truncate { file, .. } => {
                files.entry(file).or_default().pending.push(event.clone());
            }
            Event::Sync { file } => {
                let file = files.entry(file).or_default();
                let mut bytes = file.durable.take().unwrap_or_default();
                file.pending.drain(..).for_each(|event| apply(&mut bytes, &event, None));
                file.durable = Some(bytes);
            }
            Event::Delete { file } => drop(files.remove(file.as_str())),
            Event::Ack { .. } => {}
        }
    }
    for (name, mut file) in files {
        for event in std::mem::take(&mut file.pending) {
            let torn = match unsynced {
                Unsynced::Lost => continue,
                Unsynced::Mixed if rng.one_in(2) => continue,
                Unsynced::Mixed => rng.one_in(4).then(|| rng.index(4096)),
                Unsynced::Kept => None,
            };
            apply(file.durable.get_or_insert_default(), &event, torn);
        }
        if let Some(bytes) = file.durable {
            std::fs::write(dir.join(name), bytes).expect("a scratch file is written");
        }
    }
}

fn apply(bytes: &mut Vec<u8>, event: &Event, torn: Option<usize>) {
    match event {
        Event::Write { at, data, .. } => {
            let data = &data[..torn.map_or(data.len(), |torn| torn.min(data.len()))];
            bytes.resize(bytes.len().max(at + data.len()), 0);
            bytes[*at..at + data.len()].copy_from_slice(data);
        }
        Event::Truncate { size, .. } => bytes.resize(*size, 0),
        Event::Sync { .. } | Event::Delete { .. } | Event::Ack { .. } => {}
    }
}
