//! The commands.

use super::{Result, Sink, Writer};
use crate::codec::error::EncodeError;
use crate::codec::tag::Tag;
use crate::message::{
    Alert, Change, CmdId, Command, Container, ContainerKind, Exec, Get, Map, Op, Put, Results, Search, Status, Sync,
    Version,
};

impl<S: Sink> Writer<'_, S> {
    pub(in crate::codec) fn command(&mut self, command: &Command<'_>) -> Result {
        match command {
            Command::Change(change) => self.change(change),
            Command::Status(status) => self.status(status),
            Command::Alert(alert) => self.alert(alert),
            Command::Sync(sync) => {
                self.open_sync(sync)?;
                self.commands(&sync.commands)?;
                self.sink.end(Tag::Sync);
                Ok(())
            }
            Command::Map(map) => self.map(map),
            Command::Get(get) => self.get(get),
            Command::Put(put) => self.put(put),
            Command::Results(results) => self.results(results),
            Command::Container(container) => self.container(container),
            Command::Exec(exec) => self.exec(exec),
            Command::Search(search) => self.search(search),
            Command::Unknown(_) => Err(EncodeError::UnknownCommand),
        }
    }

    fn commands(&mut self, commands: &[Command<'_>]) -> Result {
        commands.iter().try_for_each(|command| self.command(command))
    }

    fn id(&mut self, cmd_id: &CmdId<'_>) -> Result {
        self.sink.text(Tag::CmdID, cmd_id.as_str())
    }

    pub(in crate::codec) fn change(&mut self, change: &Change<'_>) -> Result {
        let tag = match change.op {
            Op::Add => Tag::Add,
            Op::Replace => Tag::Replace,
            Op::Delete => Tag::Delete,
            Op::Copy => Tag::Copy,
            Op::Move => {
                self.demand(Tag::Move, Version::V12)?;
                Tag::Move
            }
        };
        self.sink.start(tag);
        self.id(&change.cmd_id)?;
        self.flag(Tag::NoResp, change.no_resp);
        self.flag(Tag::Archive, change.archive && change.op == Op::Delete);
        self.flag(Tag::SftDel, change.soft_delete && change.op == Op::Delete);
        self.credential(change.cred.as_ref())?;
        self.meta(change.meta.as_ref())?;
        self.contents(&change.items)?;
        self.sink.end(tag);
        Ok(())
    }

    fn status(&mut self, status: &Status<'_>) -> Result {
        self.sink.start(Tag::Status);
        self.id(&status.cmd_id)?;
        self.sink.text(Tag::MsgRef, &status.msg_ref)?;
        self.sink.text(Tag::CmdRef, status.cmd_ref.as_str())?;
        self.sink.text(Tag::Cmd, &status.cmd)?;
        for target in &status.target_refs {
            self.sink.text(Tag::TargetRef, target)?;
        }
        for source in &status.source_refs {
            self.sink.text(Tag::SourceRef, source)?;
        }
        self.credential(status.cred.as_ref())?;
        self.challenge(status.chal.as_ref())?;
        self.sink.number(Tag::Data, status.code.0.into())?;
        self.items(&status.items)?;
        self.sink.end(Tag::Status);
        Ok(())
    }

    fn alert(&mut self, alert: &Alert<'_>) -> Result {
        self.sink.start(Tag::Alert);
        self.id(&alert.cmd_id)?;
        self.flag(Tag::NoResp, alert.no_resp);
        self.credential(alert.cred.as_ref())?;
        self.optional_number(Tag::Data, alert.code.map(|code| code.0.into()))?;
        self.correlator(alert.correlator.as_deref())?;
        self.items(&alert.items)?;
        self.sink.end(Tag::Alert);
        Ok(())
    }

    fn correlator(&mut self, correlator: Option<&str>) -> Result {
        self.optional(Tag::Correlator, correlator.filter(|_| self.version >= Version::V12))
    }

    /// A Sync up to its first command.
    pub(in crate::codec) fn open_sync(&mut self, sync: &Sync<'_>) -> Result {
        self.sink.start(Tag::Sync);
        self.id(&sync.cmd_id)?;
        self.flag(Tag::NoResp, sync.no_resp);
        self.credential(sync.cred.as_ref())?;
        if let Some(target) = &sync.target {
            self.location(Tag::Target, target)?;
        }
        if let Some(source) = &sync.source {
            self.location(Tag::Source, source)?;
        }
        self.meta(sync.meta.as_ref())?;
        self.optional_number(Tag::NumberOfChanges, sync.number_of_changes.filter(|_| self.version >= Version::V11))
    }

    fn map(&mut self, map: &Map<'_>) -> Result {
        self.sink.start(Tag::Map);
        self.id(&map.cmd_id)?;
        self.location(Tag::Target, &map.target)?;
        self.location(Tag::Source, &map.source)?;
        self.credential(map.cred.as_ref())?;
        self.meta(map.meta.as_ref())?;
        for item in &map.items {
            self.sink.start(Tag::MapItem);
            self.location(Tag::Target, &item.target)?;
            self.location(Tag::Source, &item.source)?;
            self.sink.end(Tag::MapItem);
        }
        self.sink.end(Tag::Map);
        Ok(())
    }

    fn get(&mut self, get: &Get<'_>) -> Result {
        self.sink.start(Tag::Get);
        self.id(&get.cmd_id)?;
        self.flag(Tag::NoResp, get.no_resp);
        self.optional(Tag::Lang, get.lang.as_deref())?;
        self.credential(get.cred.as_ref())?;
        self.meta(get.meta.as_ref())?;
        self.items(&get.items)?;
        self.sink.end(Tag::Get);
        Ok(())
    }

    fn put(&mut self, put: &Put<'_>) -> Result {
        self.sink.start(Tag::Put);
        self.id(&put.cmd_id)?;
        self.flag(Tag::NoResp, put.no_resp);
        self.optional(Tag::Lang, put.lang.as_deref())?;
        self.credential(put.cred.as_ref())?;
        self.meta(put.meta.as_ref())?;
        self.items(&put.items)?;
        self.sink.end(Tag::Put);
        Ok(())
    }

    fn results(&mut self, results: &Results<'_>) -> Result {
        self.sink.start(Tag::Results);
        self.id(&results.cmd_id)?;
        self.optional(Tag::MsgRef, results.msg_ref.as_deref())?;
        self.sink.text(Tag::CmdRef, results.cmd_ref.as_str())?;
        self.meta(results.meta.as_ref())?;
        self.optional(Tag::TargetRef, results.target_ref.as_deref())?;
        self.optional(Tag::SourceRef, results.source_ref.as_deref())?;
        self.items(&results.items)?;
        self.sink.end(Tag::Results);
        Ok(())
    }

    fn container(&mut self, container: &Container<'_>) -> Result {
        let tag = match container.kind {
            ContainerKind::Atomic => Tag::Atomic,
            ContainerKind::Sequence => Tag::Sequence,
        };
        self.sink.start(tag);
        self.id(&container.cmd_id)?;
        self.flag(Tag::NoResp, container.no_resp);
        self.meta(container.meta.as_ref())?;
        self.commands(&container.commands)?;
        self.sink.end(tag);
        Ok(())
    }

    fn exec(&mut self, exec: &Exec<'_>) -> Result {
        self.sink.start(Tag::Exec);
        self.id(&exec.cmd_id)?;
        self.flag(Tag::NoResp, exec.no_resp);
        self.credential(exec.cred.as_ref())?;
        self.meta(exec.meta.as_ref())?;
        self.correlator(exec.correlator.as_deref())?;
        self.item(&exec.item)?;
        self.sink.end(Tag::Exec);
        Ok(())
    }

    fn search(&mut self, search: &Search<'_>) -> Result {
        self.sink.start(Tag::Search);
        self.id(&search.cmd_id)?;
        self.flag(Tag::NoResp, search.no_resp);
        self.flag(Tag::NoResults, search.no_results);
        self.credential(search.cred.as_ref())?;
        if let Some(target) = &search.target {
            self.location(Tag::Target, target)?;
        }
        for source in &search.sources {
            self.location(Tag::Source, source)?;
        }
        self.optional(Tag::Lang, search.lang.as_deref())?;
        self.meta(search.meta.as_ref())?;
        self.data(&search.data)?;
        self.sink.end(Tag::Search);
        Ok(())
    }
}
