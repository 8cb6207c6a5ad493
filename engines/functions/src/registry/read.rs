use std::collections::{BTreeMap, BTreeSet};

use dormouse_model::{AccountId, FunctionName, Qualifier, VersionNumber};

use super::Registry;
use super::keyspace::{self, Entry, FunctionRecord, ReservationsRecord, VersionRecord};
use crate::admission::Reservations;
use crate::code::CodeDigest;
use crate::commands::{Listing, Page};
use crate::error::{FunctionsError, Result};
use crate::function::{AccountSettings, FunctionDetails, FunctionVersion};
use crate::functions::Download;

/// Items of one page of a listing.
const PAGE_ITEMS: u32 = 50;
/// Largest value of `MaxItems`.
const PAGE_ITEMS_MAX: u32 = 10_000;

/// One page of items that come in the order of their markers.
pub(crate) fn page_of<T>(
    items: impl Iterator<Item = T>,
    page: Page,
    marker: impl Fn(&T) -> String,
) -> Result<Listing<T>> {
    let max = page.max_items.unwrap_or(PAGE_ITEMS);
    if !(1..=PAGE_ITEMS_MAX).contains(&max) {
        return Err(FunctionsError::invalid(format!("MaxItems is {max}: it takes 1 to {PAGE_ITEMS_MAX}.")));
    }
    let mut rest = items.peekable();
    if let Some(after) = &page.marker {
        while rest.next_if(|item| marker(item) != *after).is_some() {}
        if rest.next().is_none() {
            return Err(FunctionsError::invalid(
                "Marker is not one of this listing. Pass on the NextMarker of the last page, or begin again without one.",
            ));
        }
    }
    let items: Vec<T> = rest.by_ref().take(max.min(PAGE_ITEMS) as usize).collect();
    let next_marker = if rest.peek().is_some() { items.last().map(marker) } else { None };
    Ok(Listing { items, next_marker })
}

impl Registry {
    /// The runtimes and sizes of `/tmp` that versions among the first so many records have.
    pub(crate) fn kinds(&self, records: usize) -> BTreeSet<(String, u32)> {
        let found = self.catalogue.range(&keyspace::all().children(), records);
        let kinds = found.iter().filter_map(|(_, record)| match &*record.value {
            Entry::Version(version) => Some(version.configuration.kind()),
            _ => None,
        });
        kinds.map(|(runtime, ephemeral_storage_mb)| (runtime.to_owned(), ephemeral_storage_mb)).collect()
    }

    /// A function's record. What is not in memory is looked for in the store before it is denied.
    pub(crate) async fn function(&self, account: &AccountId, name: &FunctionName) -> Result<FunctionRecord> {
        let found = self.catalogue.get_or_read(&keyspace::function(account, name).bytes()).await?;
        match found.as_ref().map(|found| &*found.value) {
            Some(Entry::Function(record, _)) => Ok(record.clone()),
            _ => Err(self.not_found(account, name, None)),
        }
    }

    /// The tags of a function as memory has them; none when there is no function.
    pub(crate) fn tags(&self, account: &AccountId, name: &FunctionName) -> BTreeMap<String, String> {
        let found = self.catalogue.get(&keyspace::function(account, name).bytes());
        match found.as_ref().map(|found| &*found.value) {
            Some(Entry::Function(record, _)) => record.tags.clone(),
            _ => BTreeMap::new(),
        }
    }

    async fn version_record(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: VersionNumber,
    ) -> Result<Option<VersionRecord>> {
        let found = self.catalogue.get_or_read(&keyspace::version(account, name, version).bytes()).await?;
        Ok(found.and_then(|found| match &*found.value {
            Entry::Version(record) => Some(record.clone()),
            _ => None,
        }))
    }

    /// `GetFunction`. An alias shows the version that it leads to.
    pub(crate) async fn get(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<FunctionDetails> {
        let function = self.function(account, name).await?;
        let not_found = || self.not_found(account, name, qualifier);
        let version = match qualifier {
            None => VersionNumber::Latest,
            Some(Qualifier::Version(version)) => *version,
            Some(Qualifier::Alias(alias)) => {
                self.alias_record(account, name, alias).await?.ok_or_else(not_found)?.version
            }
        };
        let record = self.version_record(account, name, version).await?.ok_or_else(not_found)?;
        Ok(FunctionDetails {
            version: self.shown(account, name, version, qualifier.cloned(), &record)?,
            tags: function.tags,
            reserved_concurrency: self.reservations(account).functions.get(name).copied(),
        })
    }

    /// All versions of the account, by name and number.
    fn all_versions(&self, account: &AccountId) -> Vec<(FunctionName, VersionNumber, VersionRecord)> {
        let found = self.catalogue.range(&keyspace::all_versions(account).children(), usize::MAX);
        let parsed = found.into_iter().filter_map(|(key, found)| {
            let (name, number) = keyspace::parse_version(&key)?;
            match &*found.value {
                Entry::Version(record) => Some((name, number, record.clone())),
                _ => None,
            }
        });
        parsed.collect()
    }

    /// `ListFunctions`.
    pub(crate) fn list(&self, account: &AccountId, page: Page, all_versions: bool) -> Result<Listing<FunctionVersion>> {
        let versions = self.all_versions(account).into_iter();
        let wanted = versions.filter(|(_, number, _)| all_versions || *number == VersionNumber::Latest);
        page_of(wanted, page, |(name, number, _)| format!("{name}:{number}"))?.try_map(|(name, number, record)| {
            let qualifier = all_versions.then_some(Qualifier::Version(number));
            self.shown(account, &name, number, qualifier, &record)
        })
    }

    /// `ListVersionsByFunction`: `$LATEST`, then 1, 2, ...
    pub(crate) async fn list_versions(
        &self,
        account: &AccountId,
        name: &FunctionName,
        page: Page,
    ) -> Result<Listing<FunctionVersion>> {
        self.function(account, name).await?;
        let found = self.catalogue.range(&keyspace::versions(account, name).children(), usize::MAX);
        let versions = found.into_iter().filter_map(|(key, found)| {
            let (_, number) = keyspace::parse_version(&key)?;
            let Entry::Version(record) = &*found.value else { return None };
            Some((number, record.clone()))
        });
        page_of(versions, page, |(number, _)| number.to_string())?
            .try_map(|(number, record)| self.shown(account, name, number, Some(Qualifier::Version(number)), &record))
    }

    /// The zip of a version.
    pub(crate) async fn download(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<Download> {
        let code = self.get(account, name, qualifier).await?.version.code;
        let digest = CodeDigest::from_base64(&code.sha256)
            .ok_or_else(|| FunctionsError::internal("a digest in a record is damaged", &code.sha256))?;
        Ok(Download::new(self.code_blob(digest).await?))
    }

    /// Reserved concurrency of the account's functions, from memory.
    pub(crate) fn reservations(&self, account: &AccountId) -> ReservationsRecord {
        let found = self.catalogue.get(&keyspace::reservations(account).bytes());
        match found.as_ref().map(|found| &*found.value) {
            Some(Entry::Reservations(record, _)) => record.clone(),
            _ => ReservationsRecord::default(),
        }
    }

    /// What admission needs of them, without a copy.
    pub(crate) fn reservation(&self, account: &AccountId, name: &FunctionName) -> Reservations {
        let found = self.catalogue.get(&keyspace::reservations(account).bytes());
        match found.as_ref().map(|found| &*found.value) {
            Some(Entry::Reservations(record, total)) => {
                Reservations { function: record.functions.get(name).copied(), account: *total }
            }
            _ => Reservations { function: None, account: 0 },
        }
    }

    /// Bytes of all zips of the account; code that several versions share counts once.
    pub(crate) fn code_storage_used(&self, account: &AccountId) -> u64 {
        let versions = self.all_versions(account);
        let codes: BTreeMap<String, u64> =
            versions.into_iter().map(|(.., record)| (record.code.sha256, record.code.size_bytes)).collect();
        codes.values().sum()
    }

    /// `GetAccountSettings`.
    pub(crate) fn account_settings(&self, account: &AccountId) -> AccountSettings {
        let concurrency = self.settings.account_concurrency;
        AccountSettings {
            code_storage_limit_bytes: self.settings.code_storage_bytes,
            code_storage_used_bytes: self.code_storage_used(account),
            unpacked_code_bytes: self.settings.unpacked_bytes,
            zipped_code_bytes: self.settings.zip_bytes as u64,
            concurrency,
            unreserved_concurrency: concurrency.saturating_sub(self.reservations(account).total()),
            functions: self.catalogue.range(&keyspace::functions(account).children(), usize::MAX).len() as u64,
        }
    }
}
