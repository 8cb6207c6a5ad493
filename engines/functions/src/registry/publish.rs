use dormouse_model::{AccountId, Qualifier, VersionNumber};

use super::keyspace::{self, VersionRecord};
use super::{Registry, check_revision};
use crate::commands::PublishVersion;
use crate::error::{FunctionsError, Result};
use crate::function::FunctionVersion;

const DESCRIPTION_CHARS: usize = 256;

impl Registry {
    /// `PublishVersion`. When `$LATEST` has not changed since it was last published, that version is the answer.
    pub(crate) async fn publish(&self, account: &AccountId, command: PublishVersion) -> Result<FunctionVersion> {
        let PublishVersion { name, description, code_sha256, revision } = command;
        if description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS) {
            return Err(FunctionsError::invalid(format!("Description takes at most {DESCRIPTION_CHARS} characters.")));
        }
        let last = VersionNumber::Published(self.function(account, &name).await?.last_number);
        let last_key = keyspace::version(account, &name, last);
        self.change(account, &name, |reads| reads.get(last_key), |loaded, answers, change| {
            let latest = &loaded.latest.value;
            check_revision(revision, latest.revision)?;
            if code_sha256.as_ref().is_some_and(|sha256| *sha256 != latest.code.sha256) {
                return Err(FunctionsError::invalid(format!(
                    "CodeSHA256 ({}) is different from current CodeSHA256 in $LATEST ({}). Please try again with the \
                     CodeSHA256 in $LATEST.",
                    code_sha256.as_deref().unwrap_or_default(),
                    latest.code.sha256
                )));
            }
            let unchanged = loaded.function.value.last_published == Some(latest.revision);
            let number = VersionNumber::Published(loaded.function.value.last_number);
            if let Some(published) = answers.one::<VersionRecord>()?
                && unchanged
                && number == last
            {
                return self.shown(account, &name, last, Some(Qualifier::Version(last)), &published.value);
            }
            self.add_version(account, &name, loaded, change, description.as_deref())
        })
        .await
    }
}
