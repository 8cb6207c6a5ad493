use dormouse_layers::Reads;
use dormouse_model::{AccountId, AliasName, FunctionName, Qualifier, VersionNumber};

use super::keyspace::{self, AliasRecord, Entry, VersionRecord};
use super::read::page_of;
use super::{Registry, check_revision};
use crate::commands::{CreateAlias, Listing, Page, UpdateAlias};
use crate::error::{FunctionsError, Result};
use crate::function::{Alias, Weight};

const DESCRIPTION_CHARS: usize = 256;

impl Registry {
    fn no_alias(&self, account: &AccountId, name: &FunctionName, alias: &AliasName) -> FunctionsError {
        let arn = self.arn(account, name, Some(Qualifier::Alias(alias.clone())));
        FunctionsError::ResourceNotFound(format!("Cannot find alias arn: {arn}"))
    }

    fn shown_alias(&self, account: &AccountId, name: &FunctionName, alias: &AliasName, record: &AliasRecord) -> Alias {
        Alias {
            arn: self.arn(account, name, Some(Qualifier::Alias(alias.clone()))),
            name: alias.clone(),
            version: record.version,
            routing: record.routing,
            description: record.description.clone(),
            revision: record.revision,
        }
    }

    /// The versions that an alias leads to must be there; two of them must both be published.
    fn check_alias(
        &self,
        account: &AccountId,
        function: &FunctionName,
        record: &AliasRecord,
        exists: [bool; 2],
    ) -> Result<()> {
        if record.description.chars().count() > DESCRIPTION_CHARS {
            return Err(FunctionsError::invalid(format!("Description takes at most {DESCRIPTION_CHARS} characters.")));
        }
        let second = record.routing.map(|weight| weight.version);
        for (version, exists) in [Some(record.version), second].into_iter().flatten().zip(exists) {
            if !exists {
                return Err(self.not_found(account, function, Some(&Qualifier::Version(version))));
            }
        }
        let Some(Weight { version, share }) = record.routing else { return Ok(()) };
        if version == record.version {
            return Err(FunctionsError::invalid(format!(
                "Invalid function version {version}. Function version {version} is already included in routing \
                 configuration."
            )));
        }
        if [version, record.version].contains(&VersionNumber::Latest) {
            return Err(FunctionsError::invalid(
                "$LATEST is not supported for an alias pointing to more than 1 version",
            ));
        }
        if !(0.0..=1.0).contains(&share) {
            return Err(FunctionsError::invalid(format!("A weight is {share}: it takes 0.0 to 1.0.")));
        }
        Ok(())
    }

    /// `CreateAlias`.
    pub(crate) async fn create_alias(&self, account: &AccountId, command: CreateAlias) -> Result<Alias> {
        let CreateAlias { function, alias, version, description, routing } = command;
        let record = AliasRecord { version, routing, description, revision: self.revision() };
        let key = || keyspace::alias(account, &function, &alias);
        let more = |reads: Reads| self.read_targets(reads.get(key()), account, &function, &record);
        self.change(account, &function, more, |_, answers, change| {
            if answers.one::<AliasRecord>()?.is_some() {
                let arn = self.arn(account, &function, Some(Qualifier::Alias(alias.clone())));
                return Err(FunctionsError::conflict(format!("Alias already exists: {arn}")));
            }
            let exists = [answers.one::<VersionRecord>()?.is_some(), answers.one::<VersionRecord>()?.is_some()];
            self.check_alias(account, &function, &record, exists)?;
            change.create(key(), &record)?;
            Ok(self.shown_alias(account, &function, &alias, &record))
        })
        .await
    }

    fn read_targets(&self, reads: Reads, account: &AccountId, name: &FunctionName, record: &AliasRecord) -> Reads {
        let second = record.routing.map_or(record.version, |weight| weight.version);
        reads.get(keyspace::version(account, name, record.version)).get(keyspace::version(account, name, second))
    }

    /// `UpdateAlias`. What it is to become is decided on what is in memory and committed only if that still holds.
    pub(crate) async fn update_alias(&self, account: &AccountId, command: UpdateAlias) -> Result<Alias> {
        let UpdateAlias { function, alias, version, description, routing, revision } = command;
        self.function(account, &function).await?;
        let key = || keyspace::alias(account, &function, &alias);
        loop {
            let seen = self.catalogue.get_or_read(&key().bytes()).await?;
            let no_alias = || self.no_alias(account, &function, &alias);
            let seen = seen.ok_or_else(no_alias)?;
            let Entry::Alias(before) = &*seen.value else { return Err(no_alias()) };
            check_revision(revision, before.revision)?;
            let after = AliasRecord {
                version: version.unwrap_or(before.version),
                routing: routing.unwrap_or(before.routing),
                description: description.clone().unwrap_or_else(|| before.description.clone()),
                revision: self.revision(),
            };
            let more = |reads: Reads| self.read_targets(reads.get(key()), account, &function, &after);
            let done = self
                .change(account, &function, more, |_, answers, change| {
                    let mut stored = answers.one::<AliasRecord>()?.ok_or_else(no_alias)?;
                    if stored.version != seen.version {
                        return Ok(None);
                    }
                    let exists = [answers.one::<VersionRecord>()?.is_some(), answers.one::<VersionRecord>()?.is_some()];
                    self.check_alias(account, &function, &after, exists)?;
                    stored.value = after.clone();
                    change.update(key(), &stored)?;
                    Ok(Some(self.shown_alias(account, &function, &alias, &after)))
                })
                .await?;
            match done {
                Some(shown) => return Ok(shown),
                None => self.catalogue.refresh().await?,
            }
        }
    }

    /// `GetAlias`.
    pub(crate) async fn get_alias(&self, account: &AccountId, name: &FunctionName, alias: &AliasName) -> Result<Alias> {
        self.function(account, name).await?;
        match self.alias_record(account, name, alias).await? {
            Some(record) => Ok(self.shown_alias(account, name, alias, &record)),
            None => Err(self.no_alias(account, name, alias)),
        }
    }

    pub(crate) async fn alias_record(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
    ) -> Result<Option<AliasRecord>> {
        let key = keyspace::alias(account, name, alias).bytes();
        Ok(self.catalogue.get_or_read(&key).await?.and_then(|found| match &*found.value {
            Entry::Alias(record) => Some(record.clone()),
            _ => None,
        }))
    }

    /// `ListAliases`.
    pub(crate) async fn list_aliases(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Option<VersionNumber>,
        page: Page,
    ) -> Result<Listing<Alias>> {
        self.function(account, name).await?;
        let found = self.catalogue.range(&keyspace::aliases(account, name).children(), usize::MAX);
        let aliases = found.into_iter().filter_map(|(key, found)| {
            let Entry::Alias(record) = &*found.value else { return None };
            let wanted = version.is_none_or(|version| record.version == version);
            let alias: AliasName = keyspace::parse_last(&key, 4)?.parse().ok()?;
            wanted.then(|| self.shown_alias(account, name, &alias, record))
        });
        page_of(aliases, page, |alias| alias.name.to_string())
    }

    /// `DeleteAlias`.
    pub(crate) async fn delete_alias(&self, account: &AccountId, name: &FunctionName, alias: &AliasName) -> Result<()> {
        let key = || keyspace::alias(account, name, alias);
        self.change(
            account,
            name,
            |reads| reads.get(key()),
            |_, answers, change| {
                if let Some(stored) = answers.one::<AliasRecord>()? {
                    change.remove(key(), stored.version);
                    change.delete(keyspace::event_config(account, name, &Qualifier::Alias(alias.clone())));
                }
                Ok(())
            },
        )
        .await
    }
}
