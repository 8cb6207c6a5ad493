use dormouse_layers::{Change, Decision};
use dormouse_model::{AccountId, Qualifier, VersionNumber};

use super::Registry;
use super::kept::KeptConfiguration;
use super::keyspace::{self, FunctionRecord, VersionRecord};
use crate::commands::CreateFunction;
use crate::error::{FunctionsError, Result};
use crate::function::{FunctionVersion, LastUpdate, State};
use crate::validate;

impl Registry {
    /// `CreateFunction`. Code is checked and stored before the function exists, so it is active at once.
    pub(crate) async fn create(&self, account: &AccountId, command: CreateFunction) -> Result<FunctionVersion> {
        let CreateFunction { name, zip, configuration, tags, architectures, publish } = command;
        validate::supported(&configuration.unsupported)?;
        validate::tags(&tags)?;
        let configuration = validate::first_configuration(&name, &configuration, architectures.as_deref())?;
        if self.catalogue.get(&keyspace::function(account, &name).bytes()).is_some() {
            return Err(exists(&name));
        }
        self.check_role(account, &configuration.role).await?;
        let configuration = KeptConfiguration::seal(&*self.sealer, account, &name, configuration)?;
        loop {
            let upload = self.upload(account, zip.clone()).await?;
            let reads = dormouse_layers::Reads::new()
                .get(keyspace::function(account, &name))
                .get(keyspace::code(&upload.digest.hex()));
            let made = self.catalogue.transact(reads, |answers| {
                if answers.one::<FunctionRecord>()?.is_some() {
                    return Err(exists(&name));
                }
                if !Self::upload_holds(&upload, answers)? {
                    return Ok(Decision::Leave(None));
                }
                let now = self.clock.now();
                let record = VersionRecord {
                    configuration: configuration.clone(),
                    code: upload.summary.clone(),
                    revision: self.revision(),
                    last_modified: now,
                    state: State::Active,
                    last_update: LastUpdate::Successful,
                };
                let mut function =
                    FunctionRecord { created: now, last_number: 0, last_published: None, tags: tags.clone() };
                let mut change = Change::new();
                let mut shown = self.shown(account, &name, VersionNumber::Latest, None, &record)?;
                change.put(keyspace::version(account, &name, VersionNumber::Latest), &record)?;
                self.use_code(&mut change, &upload, account, &name, VersionNumber::Latest)?;
                if publish {
                    let first = VersionNumber::Published(1);
                    function.last_number = 1;
                    function.last_published = Some(record.revision);
                    let published = VersionRecord { revision: self.revision(), ..record };
                    change.put(keyspace::version(account, &name, first), &published)?;
                    Self::share_code(&mut change, &published.code, account, &name, first);
                    shown = self.shown(account, &name, first, Some(Qualifier::Version(first)), &published)?;
                }
                change.create(keyspace::function(account, &name), &function)?;
                Ok(Decision::Commit(change, Some(shown)))
            });
            if let Some(shown) = made.await? {
                return Ok(shown);
            }
        }
    }
}

fn exists(name: &dormouse_model::FunctionName) -> FunctionsError {
    FunctionsError::conflict(format!("Function already exist: {name}"))
}
