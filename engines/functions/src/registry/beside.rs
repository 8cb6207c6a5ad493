//! What stands beside the versions of a function: reserved concurrency, tags, and how its events are tried.

use std::collections::BTreeMap;

use dormouse_layers::{Decision, Reads};
use dormouse_model::{AccountId, Arn, FunctionName, Qualifier};

use super::Registry;
use super::keyspace::{self, AliasRecord, Entry, EventConfigRecord, ReservationsRecord, VersionRecord};
use super::read::page_of;
use crate::admission::check_reservation;
use crate::commands::{Listing, Page};
use crate::error::{FunctionsError, Result};
use crate::function::{EventInvokeConfig, EventInvokeSettings};
use crate::validate;

const RETRY_ATTEMPTS_MAX: u32 = 2;
const EVENT_AGE_SECS: std::ops::RangeInclusive<u32> = 60..=21_600;

impl Registry {
    /// `PutFunctionConcurrency`, and with `None` `DeleteFunctionConcurrency`.
    pub(crate) async fn set_concurrency(
        &self,
        account: &AccountId,
        name: &FunctionName,
        reserved: Option<u32>,
    ) -> Result<()> {
        let reads = self.load(account, name).get(keyspace::reservations(account));
        let settings = &self.settings;
        self.catalogue
            .transact(reads, |answers| {
                let loaded = self.loaded(account, name, answers)?;
                let stored = answers.one::<ReservationsRecord>()?;
                let mut after = stored.as_ref().map_or_else(ReservationsRecord::default, |stored| stored.value.clone());
                after.functions.remove(name);
                if let Some(reserved) = reserved {
                    let (limit, min) = (settings.account_concurrency, settings.unreserved_concurrency_min);
                    check_reservation(reserved, after.total(), limit, min)?;
                    after.functions.insert(name.clone(), reserved);
                }
                let mut change = dormouse_layers::Change::new();
                change.expect(keyspace::function(account, name), loaded.function.version);
                match stored {
                    Some(mut stored) => {
                        stored.value = after;
                        change.update(keyspace::reservations(account), &stored)?;
                    }
                    None => {
                        change.create(keyspace::reservations(account), &after)?;
                    }
                }
                Ok::<_, FunctionsError>(Decision::Commit(change, ()))
            })
            .await
    }

    /// `GetFunctionConcurrency`.
    pub(crate) async fn get_concurrency(&self, account: &AccountId, name: &FunctionName) -> Result<Option<u32>> {
        self.function(account, name).await?;
        Ok(self.reservations(account).functions.get(name).copied())
    }

    /// Adds, replaces and removes tags.
    pub(crate) async fn change_tags(
        &self,
        account: &AccountId,
        name: &FunctionName,
        set: BTreeMap<String, String>,
        remove: &[String],
    ) -> Result<()> {
        let key = || keyspace::function(account, name);
        self.catalogue
            .transact(self.load(account, name), |answers| {
                let mut loaded = self.loaded(account, name, answers)?;
                let tags = &mut loaded.function.value.tags;
                tags.extend(set.clone());
                tags.retain(|tag, _| !remove.contains(tag));
                validate::tags(tags)?;
                let mut change = dormouse_layers::Change::new();
                change.update(key(), &loaded.function)?;
                Ok::<_, FunctionsError>(Decision::Commit(change, ()))
            })
            .await
    }

    fn shown_events(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: &Qualifier,
        record: &EventConfigRecord,
    ) -> EventInvokeConfig {
        EventInvokeConfig {
            arn: self.arn(account, name, Some(qualifier.clone())),
            last_modified: record.last_modified,
            settings: record.settings.clone(),
        }
    }

    fn no_event_config(&self, account: &AccountId, name: &FunctionName, qualifier: &Qualifier) -> FunctionsError {
        let arn = self.arn(account, name, Some(qualifier.clone()));
        FunctionsError::ResourceNotFound(format!("The function {arn} doesn't have an EventInvokeConfig"))
    }

    /// `PutFunctionEventInvokeConfig` and `UpdateFunctionEventInvokeConfig`.
    pub(crate) async fn put_event_config(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
        said: EventInvokeSettings,
        merge: bool,
    ) -> Result<EventInvokeConfig> {
        let qualifier = qualifier.cloned().unwrap_or(Qualifier::LATEST);
        let key = || keyspace::event_config(account, name, &qualifier);
        let target = match &qualifier {
            Qualifier::Version(version) => keyspace::version(account, name, *version),
            Qualifier::Alias(alias) => keyspace::alias(account, name, alias),
        };
        let more = |reads: Reads| reads.get(key()).get(target);
        self.change(account, name, more, |_, answers, change| {
            let stored = answers.one::<EventConfigRecord>()?;
            let exists = match &qualifier {
                Qualifier::Version(_) => answers.one::<VersionRecord>()?.is_some(),
                Qualifier::Alias(_) => answers.one::<AliasRecord>()?.is_some(),
            };
            if !exists {
                return Err(self.not_found(account, name, Some(&qualifier)));
            }
            let settings = match (&stored, merge) {
                (_, false) => said.clone(),
                (Some(stored), true) => merged(&stored.value.settings, &said),
                (None, true) => return Err(self.no_event_config(account, name, &qualifier)),
            };
            check_event_settings(account, &settings)?;
            let record = EventConfigRecord { last_modified: self.clock.now(), settings };
            match stored {
                Some(mut stored) => {
                    stored.value = record.clone();
                    change.update(key(), &stored)?;
                }
                None => {
                    change.create(key(), &record)?;
                }
            }
            Ok(self.shown_events(account, name, &qualifier, &record))
        })
        .await
    }

    /// The settings for events of that qualifier, from memory; those of `$LATEST` are not those of an alias.
    pub(crate) fn event_settings(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Option<EventConfigRecord> {
        let qualifier = qualifier.unwrap_or(&Qualifier::LATEST);
        let found = self.catalogue.get(&keyspace::event_config(account, name, qualifier).bytes())?;
        match &*found.value {
            Entry::EventConfig(record) => Some(record.clone()),
            _ => None,
        }
    }

    /// `GetFunctionEventInvokeConfig`.
    pub(crate) async fn get_event_config(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<EventInvokeConfig> {
        self.function(account, name).await?;
        let qualifier = qualifier.unwrap_or(&Qualifier::LATEST);
        match self.event_settings(account, name, Some(qualifier)) {
            Some(record) => Ok(self.shown_events(account, name, qualifier, &record)),
            None => Err(self.no_event_config(account, name, qualifier)),
        }
    }

    /// `DeleteFunctionEventInvokeConfig`.
    pub(crate) async fn delete_event_config(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<()> {
        let qualifier = qualifier.cloned().unwrap_or(Qualifier::LATEST);
        let key = || keyspace::event_config(account, name, &qualifier);
        self.change(
            account,
            name,
            |reads| reads.get(key()),
            |_, answers, change| {
                match answers.one::<EventConfigRecord>()? {
                    Some(stored) => change.remove(key(), stored.version),
                    None => return Err(self.no_event_config(account, name, &qualifier)),
                };
                Ok(())
            },
        )
        .await
    }

    /// `ListFunctionEventInvokeConfigs`.
    pub(crate) async fn list_event_configs(
        &self,
        account: &AccountId,
        name: &FunctionName,
        page: Page,
    ) -> Result<Listing<EventInvokeConfig>> {
        self.function(account, name).await?;
        let found = self.catalogue.range(&keyspace::event_configs(account, name).children(), usize::MAX);
        let shown = found.into_iter().filter_map(|(key, found)| {
            let qualifier: Qualifier = keyspace::parse_last(&key, 4)?.parse().ok()?;
            let Entry::EventConfig(record) = &*found.value else { return None };
            Some(self.shown_events(account, name, &qualifier, record))
        });
        page_of(shown, page, |config| config.arn.to_string())
    }
}

fn merged(before: &EventInvokeSettings, said: &EventInvokeSettings) -> EventInvokeSettings {
    EventInvokeSettings {
        maximum_retry_attempts: said.maximum_retry_attempts.or(before.maximum_retry_attempts),
        maximum_event_age_secs: said.maximum_event_age_secs.or(before.maximum_event_age_secs),
        on_success: said.on_success.clone().or_else(|| before.on_success.clone()),
        on_failure: said.on_failure.clone().or_else(|| before.on_failure.clone()),
    }
}

fn check_event_settings(account: &AccountId, settings: &EventInvokeSettings) -> Result<()> {
    if settings.maximum_retry_attempts.is_some_and(|attempts| attempts > RETRY_ATTEMPTS_MAX) {
        return Err(FunctionsError::invalid(format!("MaximumRetryAttempts takes 0 to {RETRY_ATTEMPTS_MAX}.")));
    }
    if settings.maximum_event_age_secs.is_some_and(|age| !EVENT_AGE_SECS.contains(&age)) {
        let (min, max) = (EVENT_AGE_SECS.start(), EVENT_AGE_SECS.end());
        return Err(FunctionsError::invalid(format!("MaximumEventAgeInSeconds takes {min} to {max} seconds.")));
    }
    for target in [&settings.on_success, &settings.on_failure].into_iter().flatten() {
        check_destination(account, target)?;
    }
    Ok(())
}

/// A destination is a function of the same account; other kinds are refused until they exist.
fn check_destination(account: &AccountId, target: &str) -> Result<()> {
    let arn: Arn = target.parse().map_err(|_| {
        FunctionsError::invalid(format!(
            "The provided destination config DestinationConfig is invalid: {target:?} is not an ARN."
        ))
    })?;
    match target.parse::<dormouse_model::FunctionArn>() {
        Ok(function) if function.account == *account => Ok(()),
        Ok(_) => Err(FunctionsError::invalid("A destination must be in the account of the function.")),
        Err(_) => Err(FunctionsError::invalid(format!(
            "A destination of the service {} is not supported by this version of Dormouse. Use the ARN of a function.",
            arn.service
        ))),
    }
}
