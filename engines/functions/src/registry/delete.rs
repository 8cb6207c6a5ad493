use dormouse_layers::{Answers, Change, Decision, Reads};
use dormouse_model::{AccountId, FunctionName, Qualifier, VersionNumber};

use super::Registry;
use super::keyspace::{self, AliasRecord, ReservationsRecord, VersionRecord};
use crate::code::CodeDigest;
use crate::error::{FunctionsError, Result};

/// Versions that one batch removes: each is two keys of it, and the limit of the store is 1,000.
const VERSIONS_AT_ONCE: usize = 200;
/// Aliases and event configurations of one function, as far as one batch removes them.
const BESIDE: usize = 250;

impl Registry {
    /// `DeleteFunction`: one published version, or all of it.
    pub(crate) async fn delete(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<()> {
        let codes = match qualifier {
            None => self.delete_all(account, name).await?,
            Some(Qualifier::Version(number @ VersionNumber::Published(_))) => {
                self.delete_version(account, name, *number).await?
            }
            Some(Qualifier::Version(VersionNumber::Latest)) => {
                return Err(FunctionsError::invalid(
                    "$LATEST version cannot be deleted without deleting the function.",
                ));
            }
            Some(Qualifier::Alias(alias)) => {
                return Err(FunctionsError::invalid(format!(
                    "DeleteFunction takes a version number, not the alias {alias}. Use DeleteAlias."
                )));
            }
        };
        for code in codes {
            self.collect_code(&code).await;
        }
        Ok(())
    }

    async fn delete_version(
        &self,
        account: &AccountId,
        name: &FunctionName,
        number: VersionNumber,
    ) -> Result<Vec<String>> {
        let version_key = || keyspace::version(account, name, number);
        let aliases = keyspace::aliases(account, name).children();
        let more = |reads: Reads| reads.get(version_key()).range(&aliases, dormouse_store::RANGE_ITEMS);
        self.change(account, name, more, |_, answers, change| {
            let Some(version) = answers.one::<VersionRecord>()? else { return Ok(Vec::new()) };
            let using = aliases_of(answers, number)?;
            if !using.is_empty() {
                return Err(FunctionsError::conflict(format!(
                    "Unable to delete version because the following aliases reference it: [{}]",
                    using.join(", ")
                )));
            }
            change.remove(version_key(), version.version);
            let code = &version.value.code;
            Self::leave_code(change, code, account, name, number);
            Ok(hex(&code.sha256).into_iter().collect())
        })
        .await
    }

    /// The last batch removes the function itself; with very many versions there are batches before it.
    async fn delete_all(&self, account: &AccountId, name: &FunctionName) -> Result<Vec<String>> {
        let mut codes = Vec::new();
        loop {
            let (removed, done) = self.delete_some(account, name).await?;
            codes.extend(removed);
            if done {
                codes.sort();
                codes.dedup();
                return Ok(codes);
            }
        }
    }

    async fn delete_some(&self, account: &AccountId, name: &FunctionName) -> Result<(Vec<String>, bool)> {
        let beside = [keyspace::aliases(account, name), keyspace::event_configs(account, name)];
        // From the highest number down, so that `$LATEST` goes last.
        let mut reads = self
            .load(account, name)
            .read(keyspace::versions(account, name).children().read_last(VERSIONS_AT_ONCE + 1))
            .get(keyspace::reservations(account));
        for key in &beside {
            reads = reads.read(key.children().read_keys(BESIDE + 1));
        }
        self.catalogue
            .transact(reads, |answers| {
                let loaded = self.loaded(account, name, answers)?;
                let mut change = Change::new();
                let versions = answers.many::<VersionRecord>()?;
                let mut done = versions.len() <= VERSIONS_AT_ONCE;
                let mut codes = Vec::new();
                for (key, version) in versions.into_iter().take(VERSIONS_AT_ONCE) {
                    let Some((_, number)) = keyspace::parse_version(&key) else { continue };
                    Self::leave_code(&mut change, &version.value.code, account, name, number);
                    codes.extend(hex(&version.value.code.sha256));
                    change.delete(key);
                }
                let reservations = answers.one::<ReservationsRecord>()?;
                for _ in &beside {
                    let found = answers.items();
                    done &= found.len() <= BESIDE;
                    for item in found.into_iter().take(BESIDE) {
                        change.delete(item.key);
                    }
                }
                if !done {
                    change.update(keyspace::function(account, name), &loaded.function)?;
                    return Ok(Decision::Commit(change, (codes, false)));
                }
                change.remove(keyspace::function(account, name), loaded.function.version);
                if let Some(mut stored) = reservations
                    && stored.value.functions.remove(name).is_some()
                {
                    change.update(keyspace::reservations(account), &stored)?;
                }
                Ok::<_, FunctionsError>(Decision::Commit(change, (codes, true)))
            })
            .await
    }
}

fn hex(sha256: &str) -> Option<String> {
    CodeDigest::from_base64(sha256).map(CodeDigest::hex)
}

fn aliases_of(answers: &mut Answers, number: VersionNumber) -> Result<Vec<String>> {
    let leads_there =
        |alias: &AliasRecord| alias.version == number || alias.routing.is_some_and(|weight| weight.version == number);
    let found = answers.many::<AliasRecord>()?;
    let using = found.iter().filter(|(_, alias)| leads_there(&alias.value));
    Ok(using.filter_map(|(key, _)| keyspace::parse_last(key, 4)).collect())
}
