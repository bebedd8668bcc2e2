//! The commands.

use super::{
    Result, challenge, command_id, credential, flag, item, location, meta, missing, number, number_of_bits, token,
};
use crate::codec::source::Source;
use crate::codec::tag::Tag;
use crate::message::{
    Alert, AlertCode, Change, CmdId, Command, Container, ContainerKind, Data, Exec, Get, Item, Map, MapItem, Meta, Op,
    Put, Results, Search, Status, StatusCode, Sync, Text, Unknown,
};

/// Reads the command that was opened to the end of the list.
pub(super) fn command<'a, S: Source<'a>>(s: &mut S, tag: Tag, commands: &mut Vec<Command<'a>>) -> Result<()> {
    let command = match tag {
        Tag::Add => return change(s, Op::Add, commands),
        Tag::Replace => return change(s, Op::Replace, commands),
        Tag::Delete => return change(s, Op::Delete, commands),
        Tag::Copy => return change(s, Op::Copy, commands),
        Tag::Move => return change(s, Op::Move, commands),
        Tag::Status => Command::Status(status(s)?),
        Tag::Alert => Command::Alert(alert(s)?),
        Tag::Sync => Command::Sync(sync(s)?),
        Tag::Map => Command::Map(map(s)?),
        Tag::Get => Command::Get(get(s)?),
        Tag::Put => Command::Put(put(s)?),
        Tag::Results => Command::Results(results(s)?),
        Tag::Atomic => Command::Container(container(s, ContainerKind::Atomic)?),
        Tag::Sequence => Command::Container(container(s, ContainerKind::Sequence)?),
        Tag::Exec => Command::Exec(exec(s)?),
        Tag::Search => Command::Search(search(s)?),
        _ => Command::Unknown(unknown(s, tag)?),
    };
    commands.push(command);
    Ok(())
}

/// Changes are many and large: they are built where they will stay.
fn change<'a, S: Source<'a>>(s: &mut S, op: Op, commands: &mut Vec<Command<'a>>) -> Result<()> {
    commands.push(Command::Change(Change {
        op,
        cmd_id: CmdId::default(),
        no_resp: false,
        archive: false,
        soft_delete: false,
        cred: None,
        meta: None,
        items: Vec::new(),
    }));
    let Some(Command::Change(change)) = commands.last_mut() else { return Ok(()) };
    let mut has_id = false;
    while let Some(tag) = s.child()? {
        match tag {
            Tag::CmdID => {
                change.cmd_id = command_id(s)?;
                has_id = true;
            }
            Tag::Meta => meta::meta(s, change.meta.get_or_insert_default())?,
            Tag::Item => item::push(s, &mut change.items)?,
            Tag::NoResp => change.no_resp = flag(s)?,
            Tag::Archive => change.archive = flag(s)?,
            Tag::SftDel => change.soft_delete = flag(s)?,
            Tag::Cred => change.cred = Some(credential(s)?),
            _ => s.skip()?,
        }
    }
    if has_id { Ok(()) } else { Err(missing(s, Tag::CmdID)) }
}

/// Children that most commands have; whatever is left of an element after its own children.
#[derive(Default)]
struct Common<'a> {
    cmd_id: Option<CmdId<'a>>,
    no_resp: bool,
    cred: Option<crate::message::Cred<'a>>,
    meta: Option<Meta<'a>>,
    items: Vec<Item<'a>>,
    lang: Option<Text<'a>>,
}

impl<'a> Common<'a> {
    fn take<S: Source<'a>>(&mut self, s: &mut S, tag: Tag) -> Result<()> {
        match tag {
            Tag::CmdID => self.cmd_id = Some(command_id(s)?),
            Tag::NoResp => self.no_resp = flag(s)?,
            Tag::Cred => self.cred = Some(credential(s)?),
            Tag::Meta => meta::meta(s, self.meta.get_or_insert_default())?,
            Tag::Item => item::push(s, &mut self.items)?,
            Tag::Lang => self.lang = Some(token(s)?),
            _ => s.skip()?,
        }
        Ok(())
    }

    fn cmd_id<S: Source<'a>>(&mut self, s: &mut S) -> Result<CmdId<'a>> {
        self.cmd_id.take().ok_or_else(|| missing(s, Tag::CmdID))
    }
}

fn alert<'a, S: Source<'a>>(s: &mut S) -> Result<Alert<'a>> {
    let mut common = Common::default();
    let (mut code, mut correlator) = (None, None);
    while let Some(tag) = s.child()? {
        match tag {
            Tag::Data => code = alert_code(s)?,
            Tag::Correlator => correlator = Some(s.text()?),
            _ => common.take(s, tag)?,
        }
    }
    Ok(Alert {
        cmd_id: common.cmd_id(s)?,
        no_resp: common.no_resp,
        cred: common.cred,
        code,
        correlator,
        items: common.items,
    })
}

fn alert_code<'a, S: Source<'a>>(s: &mut S) -> Result<Option<AlertCode>> {
    let at = s.at();
    match number(s)? {
        None => Ok(None),
        Some(code) => match u16::try_from(code) {
            Ok(code) => Ok(Some(AlertCode(code))),
            Err(_) => Err(s.fail(crate::codec::DecodeError::BadNumber { bits: 16, at })),
        },
    }
}

fn container<'a, S: Source<'a>>(s: &mut S, kind: ContainerKind) -> Result<Container<'a>> {
    let mut common = Common::default();
    let mut commands = Vec::new();
    while let Some(tag) = s.child()? {
        match tag {
            Tag::CmdID | Tag::NoResp | Tag::Meta => common.take(s, tag)?,
            _ => command(s, tag, &mut commands)?,
        }
    }
    Ok(Container { kind, cmd_id: common.cmd_id(s)?, no_resp: common.no_resp, meta: common.meta, commands })
}

fn sync<'a, S: Source<'a>>(s: &mut S) -> Result<Sync<'a>> {
    let mut common = Common::default();
    let (mut target, mut source, mut number_of_changes) = (None, None, None);
    let mut commands = Vec::new();
    while let Some(tag) = s.child()? {
        match tag {
            Tag::CmdID | Tag::NoResp | Tag::Cred | Tag::Meta => common.take(s, tag)?,
            Tag::Target => target = Some(location(s)?),
            Tag::Source => source = Some(location(s)?),
            Tag::NumberOfChanges => number_of_changes = number(s)?,
            _ => command(s, tag, &mut commands)?,
        }
    }
    Ok(Sync {
        cmd_id: common.cmd_id(s)?,
        no_resp: common.no_resp,
        cred: common.cred,
        target,
        source,
        meta: common.meta,
        number_of_changes,
        commands,
    })
}

fn exec<'a, S: Source<'a>>(s: &mut S) -> Result<Exec<'a>> {
    let mut common = Common::default();
    let mut correlator = None;
    while let Some(tag) = s.child()? {
        match tag {
            Tag::Correlator => correlator = Some(s.text()?),
            _ => common.take(s, tag)?,
        }
    }
    Ok(Exec {
        cmd_id: common.cmd_id(s)?,
        no_resp: common.no_resp,
        cred: common.cred,
        meta: common.meta,
        correlator,
        item: Box::new(common.items.pop().unwrap_or_default()),
    })
}

fn get<'a, S: Source<'a>>(s: &mut S) -> Result<Get<'a>> {
    let common = items(s)?;
    Ok(Get {
        cmd_id: common.cmd_id.ok_or_else(|| missing(s, Tag::CmdID))?,
        no_resp: common.no_resp,
        lang: common.lang,
        cred: common.cred,
        meta: common.meta,
        items: common.items,
    })
}

fn put<'a, S: Source<'a>>(s: &mut S) -> Result<Put<'a>> {
    let common = items(s)?;
    Ok(Put {
        cmd_id: common.cmd_id.ok_or_else(|| missing(s, Tag::CmdID))?,
        no_resp: common.no_resp,
        lang: common.lang,
        cred: common.cred,
        meta: common.meta,
        items: common.items,
    })
}

/// The content of a command that has nothing of its own; device information in it is unwrapped.
fn items<'a, S: Source<'a>>(s: &mut S) -> Result<Common<'a>> {
    let mut common = Common::default();
    while let Some(tag) = s.child()? {
        common.take(s, tag)?;
    }
    item::unwrap(s, &mut common.items, common.meta.as_ref())?;
    Ok(common)
}

fn results<'a, S: Source<'a>>(s: &mut S) -> Result<Results<'a>> {
    let mut common = Common::default();
    let (mut msg_ref, mut cmd_ref, mut target_ref, mut source_ref) = (None, None, None, None);
    while let Some(tag) = s.child()? {
        match tag {
            Tag::MsgRef => msg_ref = Some(token(s)?),
            Tag::CmdRef => cmd_ref = Some(command_id(s)?),
            Tag::TargetRef => target_ref = Some(super::address(s)?),
            Tag::SourceRef => source_ref = Some(super::address(s)?),
            _ => common.take(s, tag)?,
        }
    }
    item::unwrap(s, &mut common.items, common.meta.as_ref())?;
    Ok(Results {
        cmd_id: common.cmd_id(s)?,
        msg_ref,
        cmd_ref: cmd_ref.ok_or_else(|| missing(s, Tag::CmdRef))?,
        meta: common.meta,
        target_ref,
        source_ref,
        items: common.items,
    })
}

fn search<'a, S: Source<'a>>(s: &mut S) -> Result<Search<'a>> {
    let mut common = Common::default();
    let (mut no_results, mut target, mut sources) = (false, None, Vec::new());
    let mut data = Data::Bytes(crate::message::Bytes::default());
    while let Some(tag) = s.child()? {
        match tag {
            Tag::NoResults => no_results = flag(s)?,
            Tag::Target => target = Some(location(s)?),
            Tag::Source => sources.push(location(s)?),
            Tag::Data => data = item::data(s)?,
            _ => common.take(s, tag)?,
        }
    }
    Ok(Search {
        cmd_id: common.cmd_id(s)?,
        no_resp: common.no_resp,
        no_results,
        cred: common.cred,
        target,
        sources,
        lang: common.lang,
        meta: common.meta,
        data,
    })
}

fn status<'a, S: Source<'a>>(s: &mut S) -> Result<Status<'a>> {
    let mut common = Common::default();
    let (mut msg_ref, mut cmd_ref, mut code) = (None, None, None);
    let (mut cmd, mut chal) = (Text::default(), None);
    let (mut target_refs, mut source_refs) = (Vec::new(), Vec::new());
    while let Some(tag) = s.child()? {
        match tag {
            Tag::MsgRef => msg_ref = Some(token(s)?),
            Tag::CmdRef => cmd_ref = Some(command_id(s)?),
            Tag::Cmd => cmd = token(s)?,
            Tag::TargetRef => target_refs.push(super::address(s)?),
            Tag::SourceRef => source_refs.push(super::address(s)?),
            Tag::Chal => chal = Some(challenge(s)?),
            Tag::Data => code = Some(StatusCode(number_of_bits(s, 16)? as u16)),
            _ => common.take(s, tag)?,
        }
    }
    item::unwrap_metinf(s, &mut common.items)?;
    Ok(Status {
        cmd_id: common.cmd_id(s)?,
        msg_ref: msg_ref.ok_or_else(|| missing(s, Tag::MsgRef))?,
        cmd_ref: cmd_ref.ok_or_else(|| missing(s, Tag::CmdRef))?,
        cmd,
        target_refs,
        source_refs,
        cred: common.cred,
        chal,
        code: code.ok_or_else(|| missing(s, Tag::Data))?,
        items: common.items,
    })
}

fn map<'a, S: Source<'a>>(s: &mut S) -> Result<Map<'a>> {
    let mut common = Common::default();
    let (mut target, mut source, mut items) = (None, None, Vec::new());
    while let Some(tag) = s.child()? {
        match tag {
            Tag::Target => target = Some(location(s)?),
            Tag::Source => source = Some(location(s)?),
            Tag::MapItem => items.push(map_item(s)?),
            _ => common.take(s, tag)?,
        }
    }
    Ok(Map {
        cmd_id: common.cmd_id(s)?,
        target: target.ok_or_else(|| missing(s, Tag::Target))?,
        source: source.ok_or_else(|| missing(s, Tag::Source))?,
        cred: common.cred,
        meta: common.meta,
        items,
    })
}

fn map_item<'a, S: Source<'a>>(s: &mut S) -> Result<MapItem<'a>> {
    let (mut target, mut source) = (None, None);
    while let Some(tag) = s.child()? {
        match tag {
            Tag::Target => target = Some(location(s)?),
            Tag::Source => source = Some(location(s)?),
            _ => s.skip()?,
        }
    }
    Ok(MapItem {
        target: target.ok_or_else(|| missing(s, Tag::Target))?,
        source: source.ok_or_else(|| missing(s, Tag::Source))?,
    })
}

fn unknown<'a, S: Source<'a>>(s: &mut S, tag: Tag) -> Result<Unknown<'a>> {
    let name = if tag == Tag::Unknown { s.unknown_name() } else { tag.name().into() };
    let mut cmd_id = None;
    while let Some(tag) = s.child()? {
        match tag {
            Tag::CmdID => cmd_id = Some(command_id(s)?),
            _ => s.skip()?,
        }
    }
    Ok(Unknown { name, cmd_id })
}
