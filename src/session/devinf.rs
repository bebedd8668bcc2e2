//! Device information: what we say of ourselves, and what a session needs to know of the peer (§3.19).

use super::datastore::{self, DATASTORES, Datastore, same_place};
use super::outbox::{Outbox, Queued};
use super::receive::Quota;
use super::state::State;
use crate::codec::{EncodeError, Encoding, Limits, decode_devinf, encode_devinf};
use crate::contact::identity::Kind;
use crate::contact::lens::{Declared, DeclaredProperty, NAMES};
use crate::message::{
    CmdId, Command, ContentCap, ContentType, Data, DataStore, DevInf, FilterCap, Item, Location, Message, Meta,
    Results, StatusCode, StoreMemory, SyncKind, Text, Version,
};
use crate::store::DeviceRow;
use crate::sync::Role;
use crate::sync::filter::GRAMMAR;
use std::rc::Rc;

/// How many of the known properties, from the first, phones have.
const PHONES_HAVE: usize = 25;

/// What a session needs to know of a peer's datastore. Without device information, what is safe with any peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Capability {
    /// The media type and version it prefers to receive, among those of our datastore.
    pub media: Option<(String, String)>,
    /// The longest GUID it keeps.
    pub max_guid: Option<u64>,
    /// Whether it wants NumberOfChanges.
    pub number_of_changes: bool,
    /// Whether it has folders.
    pub folders: bool,
    /// The most items that it holds (DSMem).
    pub max_items: Option<u64>,
    /// Whether it is one of this crate.
    pub kin: bool,
}

/// What the peer said of itself, as a message's work needs it: read once, and again if it says something else.
#[derive(Debug, Default)]
pub(super) struct Said {
    bytes: Vec<u8>,
    devinf: Option<Rc<DevInf<'static>>>,
}

impl Said {
    /// What is in the stored bytes; `None` without any, or where they cannot be read.
    pub(super) fn of(&mut self, bytes: Option<&[u8]>) -> Option<Rc<DevInf<'static>>> {
        let bytes = bytes.unwrap_or_default();
        if self.bytes != bytes {
            self.devinf = decode_devinf(bytes, &Limits::default()).ok().map(|devinf| Rc::new(devinf.into_owned()));
            self.bytes = bytes.to_vec();
        }
        self.devinf.clone()
    }
}

/// How both ends of this crate name their maker.
const MAN: &str = "syncml";

/// Reads off a peer's device information what concerns one of its datastores.
pub(super) fn capability(devinf: &DevInf<'_>, there: &str, datastore: &Datastore) -> Capability {
    let number_of_changes = devinf.number_of_changes;
    let kin = devinf.man.as_deref() == Some(MAN);
    let store = devinf.stores.iter().find(|store| same_place(&store.source_ref, there)).or(match &*devinf.stores {
        [only] => Some(only),
        _ => None,
    });
    let Some(store) = store else { return Capability { number_of_changes, kin, ..Capability::default() } };
    let media = store
        .rx_pref
        .iter()
        .chain(&store.rx)
        .filter(|wanted| !datastore::is_folder_type(&wanted.media_type))
        .find(|wanted| datastore.types.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted.media_type.trim())))
        .map(|wanted| (wanted.media_type.trim().to_owned(), wanted.version.trim().to_owned()));
    let max_guid = store.max_guid_size.filter(|max| *max > 0);
    let max_items = store.memory.and_then(|memory| memory.max_id).filter(|max| *max > 0);
    Capability { media, max_guid, number_of_changes, folders: store.hierarchical, max_items, kin }
}

/// Keeps what a peer says of itself, in Puts and Results. The Status of each item, with the place of its command.
pub(super) fn keep(message: &Message<'_>, version: Version, device: &mut DeviceRow) -> Vec<(usize, Queued)> {
    let mut statuses = Vec::new();
    for (index, command) in message.body.iter().enumerate() {
        let items = match command {
            Command::Put(put) => &put.items,
            Command::Results(results) => &results.items,
            _ => continue,
        };
        for item in items {
            let code = match &item.data {
                Some(Data::DevInf(devinf)) => {
                    // Read again in each session, at a quarter of what XML takes.
                    device.devinf = encode_devinf(devinf, version, Encoding::Wbxml).ok();
                    StatusCode::OK
                }
                _ => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            };
            statuses.push((index, Queued::of(message, command, code).about(item)));
        }
    }
    statuses
}

/// What a peer declares that one of its datastores can hold (CTCap): within the datastore from 1.2 on, before in one list for
/// all, which some still write where it does not belong. The list of the type that it is sent counts, or the first of a type
/// that our datastore has.
pub(super) fn declared(devinf: &DevInf<'_>, there: &str, datastore: &Datastore) -> Option<Declared> {
    let wanted = capability(devinf, there, datastore).media;
    let store = devinf.stores.iter().find(|store| same_place(&store.source_ref, there)).or(match &*devinf.stores {
        [only] => Some(only),
        _ => None,
    });
    let ours = |cap: &&ContentCap<'_>| {
        datastore.types.iter().any(|(name, _)| name.eq_ignore_ascii_case(cap.media_type.trim()))
    };
    let caps = || store.into_iter().flat_map(|store| &store.content_caps).chain(&devinf.content_caps).filter(ours);
    let asked = |cap: &&ContentCap<'_>| {
        wanted.as_ref().is_some_and(|(name, version)| {
            let same = cap.version.as_ref().is_none_or(|of| of.trim().is_empty() || of.trim() == version);
            same && name.eq_ignore_ascii_case(cap.media_type.trim())
        })
    };
    let cap = caps().find(asked).or_else(|| caps().next())?;
    let text = |text: &Text<'_>| text.trim().to_owned();
    let properties = cap.properties.iter().map(|property| DeclaredProperty {
        name: text(&property.name),
        max_occur: property.max_occur,
        max_size: property.max_size,
        no_truncate: property.no_truncate,
        values: property.values.iter().map(text).collect(),
        params: (property.params.iter())
            .map(|param| (text(&param.name), param.values.iter().map(text).collect()))
            .collect(),
    });
    Some(Declared { properties: properties.collect() })
}

/// What we say of ourselves, with datastores by the names that the peer has for them; a server adds those that nobody
/// asked for, if `whole`, and what contacts can be filtered by, if `filters`. Datastores hold every property, so none is
/// declared (CTCap); what a book may hold is (DSMem), where that has a limit.
pub(super) fn own(
    version: Version,
    device_id: &str,
    role: Role,
    quota: Quota,
    whole: bool,
    filters: bool,
    named: &[(String, &'static Datastore)],
) -> DevInf<'static> {
    let filters = |datastore: &Datastore| {
        let has = filters && role == Role::Server && datastore.kind == Kind::Contact;
        has.then_some(()).into_iter()
    };
    let limit = |most: u64| (most < u64::MAX).then_some(most);
    let memory = StoreMemory { shared: false, max_mem: limit(quota.bytes), max_id: limit(quota.items) };
    let described = |uri: String, datastore: &Datastore| {
        let spoken = |name: &str| version == Version::V12 || !datastore::is_folder_type(name);
        let types = || {
            let types = datastore.types.iter().filter(|(name, _)| spoken(name));
            types.map(|(name, version)| ContentType::new(*name, *version))
        };
        DataStore {
            source_ref: uri.into(),
            display_name: Some(datastore.name.into()),
            max_guid_size: (role == Role::Client).then_some(64),
            rx_pref: types().take(1).collect(),
            rx: types().skip(1).collect(),
            tx_pref: types().take(1).collect(),
            tx: types().skip(1).collect(),
            memory: (memory != StoreMemory::default()).then_some(memory),
            hierarchical: version == Version::V12 && datastore.folders,
            sync_kinds: (SyncKind::TWO_WAY.0..=SyncKind::REFRESH_FROM_SERVER.0).map(SyncKind).collect(),
            filter_rx: filters(datastore).map(|()| ContentType::new(GRAMMAR, "1.0")).collect(),
            filter_caps: filters(datastore).flat_map(|()| types()).map(filter_cap).collect(),
            ..DataStore::default()
        }
    };
    let mut stores: Vec<DataStore<'static>> =
        named.iter().map(|(uri, datastore)| described(uri.clone(), datastore)).collect();
    if whole && role == Role::Server {
        // Books with a name are beside them.
        let is_it = |one: &Datastore, uri: &str, of: &Datastore| {
            of.book == one.book && !datastore::locate(uri).is_some_and(|(book, _)| book.is_named())
        };
        let missing = DATASTORES.iter().filter(|one| named.iter().all(|(uri, of)| !is_it(one, uri, of)));
        stores.extend(missing.map(|datastore| described(format!("./{}", datastore.name), datastore)));
    }
    let text = |text: &'static str| Some(Text::Borrowed(text));
    DevInf {
        ver_dtd: version.dtd().into(),
        man: text(MAN),
        model: text(if role == Role::Server { "syncml server" } else { "syncml client" }),
        fwv: text(env!("CARGO_PKG_VERSION")),
        swv: text(env!("CARGO_PKG_VERSION")),
        hwv: text("none"),
        dev_id: device_id.to_owned().into(),
        dev_type: if role == Role::Server { "server" } else { "workstation" }.into(),
        utc: true,
        number_of_changes: true,
        large_objects: true,
        stores,
        ..DevInf::default()
    }
}

/// By which properties records of a type can be chosen, and which can be left out (§3.16): those that phones have. What is
/// in no version that phones speak is understood, too, but would only make every DevInf longer.
fn filter_cap(content: ContentType<'static>) -> FilterCap<'static> {
    FilterCap {
        content,
        keywords: Vec::new(),
        properties: NAMES[..PHONES_HAVE].iter().map(|name| (*name).into()).collect(),
    }
}

/// The media type of a DevInf in a message of that encoding.
pub(super) const fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Xml => "application/vnd.syncml-devinf+xml",
        Encoding::Wbxml => "application/vnd.syncml-devinf+wbxml",
    }
}

/// Whether an address is the well-known one of device information, of any version.
pub(super) fn is_uri(uri: &str) -> bool {
    uri.trim_start_matches("./").starts_with("devinf1")
}

/// Answers Gets of our device information with Results. What does not fit is left out: first what filters can ask for, then
/// the datastores that nobody asked for (I8); what does not fit at all now comes in a later message, if it fits into any.
pub(super) fn write_results(
    outbox: &mut Outbox,
    state: &mut State,
    quota: Quota,
    encoding: Encoding,
) -> Result<(), EncodeError> {
    let named: Vec<_> =
        state.stores.iter().filter_map(|store| Some((store.here.clone(), datastore::by_number(store.book)?))).collect();
    let uri = outbox.version().devinf_uri();
    while let Some((msg_ref, cmd_ref)) = state.owed_results.first() {
        let mut written = None;
        for (whole, filters) in [(true, true), (true, false), (false, false)] {
            let devinf = own(outbox.version(), &state.own, state.role, quota, whole, filters, &named);
            let item = Item {
                source: Some(Location::new(uri)),
                data: Some(Data::DevInf(Box::new(devinf))),
                ..Item::default()
            };
            let results = |cmd_id| Results {
                cmd_id,
                msg_ref: Some(msg_ref.as_str().into()),
                cmd_ref: CmdId::from(cmd_ref.as_str()),
                meta: Some(Meta::of_type(media_type(encoding))),
                target_ref: None,
                source_ref: None,
                items: vec![item],
            };
            written = outbox.command(|cmd_id| Command::Results(results(cmd_id)))?;
            if written.is_some() {
                break;
            }
        }
        // A peer whose messages are too small for it gets none.
        if written.is_none() && !outbox.is_idle() {
            break;
        }
        state.owed_results.remove(0);
    }
    Ok(())
}
