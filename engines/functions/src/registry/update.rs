use dormouse_layers::Change;
use dormouse_model::{AccountId, FunctionName, Qualifier, VersionNumber};

use super::kept::KeptConfiguration;
use super::keyspace::{self, VersionRecord};
use super::{Loaded, Registry, check_revision};
use crate::code::CodeDigest;
use crate::commands::{UpdateCode, UpdateConfiguration};
use crate::error::Result;
use crate::function::{FunctionVersion, LastUpdate, State};
use crate::validate;

impl Registry {
    /// `UpdateFunctionCode`.
    pub(crate) async fn update_code(&self, account: &AccountId, command: UpdateCode) -> Result<FunctionVersion> {
        let UpdateCode { name, zip, architectures, publish, dry_run, revision, unsupported } = command;
        validate::supported(&unsupported)?;
        let architecture = validate::architecture(architectures.as_deref())?;
        self.function(account, &name).await?;
        if dry_run {
            return self.try_code(account, &name, &zip, revision).await;
        }
        loop {
            let upload = self.upload(account, zip.clone()).await?;
            let code_key = keyspace::code(&upload.digest.hex());
            let done = self
                .change(
                    account,
                    &name,
                    |reads| reads.get(code_key),
                    |loaded, answers, change| {
                        check_revision(revision, loaded.latest.value.revision)?;
                        if !Self::upload_holds(&upload, answers)? {
                            return Ok(None);
                        }
                        let before = loaded.latest.value.code.clone();
                        if before != upload.summary {
                            Self::leave_code(change, &before, account, &name, VersionNumber::Latest);
                            self.use_code(change, &upload, account, &name, VersionNumber::Latest)?;
                        }
                        let latest = &mut loaded.latest.value;
                        latest.code = upload.summary.clone();
                        if let Some(architecture) = architecture {
                            latest.configuration.set_architecture(architecture);
                        }
                        let shown = self.save_latest(account, &name, loaded, change, publish)?;
                        Ok(Some((shown, before)))
                    },
                )
                .await?;
            if let Some((shown, before)) = done {
                if let Some(digest) = CodeDigest::from_base64(&before.sha256)
                    && digest != upload.digest
                {
                    self.collect_code(&digest.hex()).await;
                }
                return Ok(shown);
            }
        }
    }

    /// `DryRun`: what the answer would be.
    async fn try_code(
        &self,
        account: &AccountId,
        name: &FunctionName,
        zip: &bytes::Bytes,
        revision: Option<dormouse_model::RevisionId>,
    ) -> Result<FunctionVersion> {
        let (digest, _) = self.check_zip(zip).await?;
        let mut shown = self.get(account, name, None).await?.version;
        check_revision(revision, shown.revision)?;
        shown.code = crate::function::CodeSummary { sha256: digest.base64(), size_bytes: zip.len() as u64 };
        Ok(shown)
    }

    /// `UpdateFunctionConfiguration`.
    pub(crate) async fn update_configuration(
        &self,
        account: &AccountId,
        command: UpdateConfiguration,
    ) -> Result<FunctionVersion> {
        let UpdateConfiguration { name, change: said, revision } = command;
        validate::supported(&said.unsupported)?;
        self.function(account, &name).await?;
        if let Some(role) = &said.role {
            self.check_role(account, role).await?;
        }
        self.change(
            account,
            &name,
            |reads| reads,
            |loaded, _, change| {
                check_revision(revision, loaded.latest.value.revision)?;
                let before = self.opened(account, &name, &loaded.latest.value)?;
                let after = validate::changed(&name, &before, &said)?;
                loaded.latest.value.configuration = KeptConfiguration::seal(&*self.sealer, account, &name, after)?;
                self.save_latest(account, &name, loaded, change, false)
            },
        )
        .await
    }

    /// Writes `$LATEST` under a new revision, and publishes it if that was asked for.
    fn save_latest(
        &self,
        account: &AccountId,
        name: &FunctionName,
        loaded: &mut Loaded,
        change: &mut Change,
        publish: bool,
    ) -> Result<FunctionVersion> {
        let latest = &mut loaded.latest.value;
        latest.revision = self.revision();
        latest.last_modified = self.clock.now();
        latest.state = State::Active;
        latest.last_update = LastUpdate::Successful;
        change.update(keyspace::version(account, name, VersionNumber::Latest), &loaded.latest)?;
        if publish {
            return self.add_version(account, name, loaded, change, None);
        }
        self.shown(account, name, VersionNumber::Latest, None, &loaded.latest.value)
    }

    /// Adds a numbered copy of `$LATEST` to a change.
    pub(crate) fn add_version(
        &self,
        account: &AccountId,
        name: &FunctionName,
        loaded: &mut Loaded,
        change: &mut Change,
        description: Option<&str>,
    ) -> Result<FunctionVersion> {
        let function = &mut loaded.function.value;
        function.last_number += 1;
        function.last_published = Some(loaded.latest.value.revision);
        let number = VersionNumber::Published(function.last_number);
        let mut record = VersionRecord { revision: self.revision(), ..loaded.latest.value.clone() };
        if let Some(description) = description {
            record.configuration.set_description(description);
        }
        change.create(keyspace::version(account, name, number), &record)?;
        Self::share_code(change, &record.code, account, name, number);
        self.shown(account, name, number, Some(Qualifier::Version(number)), &record)
    }
}
