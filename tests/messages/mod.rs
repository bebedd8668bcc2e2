//! Arbitrary messages for the laws of the codec. A message is made from a string of choices: proptest invents the string
//! and shortens it, and where it ends every choice is the simplest one.

use syncml::message::*;

/// A string of choices.
pub(crate) struct Choices<'c> {
    bytes: &'c [u8],
    /// Whether data has to fit into XML.
    carriable: bool,
    version: Version,
}

impl<'c> Choices<'c> {
    /// Choices for messages of a version.
    pub(crate) fn new(bytes: &'c [u8], version: Version, carriable: bool) -> Self {
        Self { bytes, carriable, version }
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    fn below(&mut self, bound: usize) -> usize {
        self.byte() as usize % bound
    }

    fn flag(&mut self) -> bool {
        self.byte() % 4 == 1
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.byte() % 3 == 1).then(|| make(self))
    }

    fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    fn number(&mut self) -> u64 {
        match self.byte() % 5 {
            0 => 0,
            1 => u64::MAX,
            2 => u64::from(self.byte()) << 30,
            _ => self.byte().into(),
        }
    }

    /// A text of any kind that XML can carry.
    pub(crate) fn text(&mut self) -> Text<'static> {
        const PIECES: [&str; 24] = [
            "",
            "a",
            "Zoë",
            "\r\n",
            "<",
            ">",
            "&",
            "]]>",
            "&amp;",
            "\t",
            " ",
            "\u{1F600}",
            "\n",
            "<![CDATA[",
            "\"'",
            "\r",
            "--",
            "0",
            "./contacts",
            "\u{FFFD}\u{FF1A}",
            "%20",
            "\u{7f}",
            "日本語",
            "<Next>",
        ];
        let length = [0, 1, 1, 2, 3, 8, 40][self.below(7)];
        (0..length).map(|_| PIECES[self.below(PIECES.len())]).collect::<String>().into()
    }

    /// A text without blanks at its ends.
    fn word(&mut self) -> Text<'static> {
        self.text().trim().to_owned().into()
    }

    /// An address may have blanks at its ends, but no line breaks there.
    fn address(&mut self) -> Text<'static> {
        let text = self.word();
        if self.flag() { format!(" {text}").into() } else { text }
    }

    fn id(&mut self) -> CmdId<'static> {
        CmdId(if self.flag() { self.word() } else { self.byte().to_string().into() })
    }

    fn base64(&mut self) -> Text<'static> {
        ["", "Tm9uY2U=", "Zz6EivR3yeaaENcRN6lpAQ=="][self.below(3)].into()
    }

    fn bytes(&mut self) -> Bytes<'static> {
        if self.carriable || !self.flag() {
            return self.text().into_owned().into_bytes().into();
        }
        let length = [1, 3, 16, 200][self.below(4)];
        let octets: Vec<u8> = (0..length).map(|_| self.byte()).collect();
        octets.into()
    }

    fn location(&mut self) -> Location<'static> {
        Location { uri: self.address(), name: self.maybe(Self::text) }
    }

    fn anchor(&mut self) -> Anchor<'static> {
        Anchor { last: self.maybe(Self::text), next: self.text() }
    }

    fn mem(&mut self) -> Mem {
        Mem { shared: self.flag(), free_mem: self.number(), free_id: self.number() }
    }

    fn meta(&mut self) -> Meta<'static> {
        let (since_11, since_12) = (self.version >= Version::V11, self.version >= Version::V12);
        Meta {
            field_level: self.flag() && since_12,
            format: self.maybe(Self::word),
            media_type: self.maybe(Self::word),
            mark: self.maybe(Self::word),
            size: self.maybe(Self::number),
            anchor: self.maybe(Self::anchor),
            version: self.maybe(Self::text),
            next_nonce: self.maybe(Self::base64),
            max_msg_size: self.maybe(Self::number),
            max_obj_size: self.maybe(Self::number).filter(|_| since_11),
            emi: self.some(2, Self::text),
            mem: self.maybe(Self::mem),
        }
    }

    fn cred(&mut self) -> Cred<'static> {
        let data = if self.carriable { self.base64().into_owned().into_bytes().into() } else { self.bytes() };
        Cred { meta: self.maybe(Self::meta), data }
    }

    fn plain_item(&mut self) -> Item<'static> {
        let since_12 = self.version >= Version::V12;
        Item {
            target: self.maybe(Self::location),
            filter: None,
            source: self.maybe(Self::location),
            source_parent: self.maybe(Self::address).filter(|_| since_12),
            target_parent: self.maybe(Self::address).filter(|_| since_12),
            meta: self.maybe(Self::meta),
            data: self.maybe(|c| Data::Bytes(c.bytes())),
            more_data: self.flag() && self.version >= Version::V11,
        }
    }

    fn item(&mut self) -> Item<'static> {
        let mut item = self.plain_item();
        if self.version >= Version::V12 && self.flag() {
            item.target = Some(self.location());
            item.filter = Some(Box::new(Filter {
                meta: self.meta(),
                field: self.maybe(Self::plain_item),
                record: self.maybe(Self::plain_item),
                filter_type: self.maybe(Self::word),
            }));
        }
        item
    }

    /// An item of Status, in whose data markup that is quoted means the same as markup.
    fn status_item(&mut self) -> Item<'static> {
        let mut item = self.plain_item();
        item.data = match self.byte() % 4 {
            0 => None,
            1 => Some(Data::Anchor(self.anchor())),
            2 => Some(Data::Mem(self.mem())),
            _ => Some(Data::text(format!("x{}", self.text()))),
        };
        item
    }

    /// An item of Put and Results.
    fn devinf_item(&mut self) -> Item<'static> {
        let mut item = self.plain_item();
        if self.flag() {
            item.data = Some(Data::DevInf(Box::new(self.devinf())));
        }
        item
    }

    fn change(&mut self) -> Change<'static> {
        let ops = [Op::Add, Op::Replace, Op::Delete, Op::Copy, Op::Move];
        let op = ops[self.below(if self.version >= Version::V12 { 5 } else { 4 })];
        Change {
            op,
            cmd_id: self.id(),
            no_resp: self.flag(),
            archive: self.flag() && op == Op::Delete,
            soft_delete: self.flag() && op == Op::Delete,
            cred: self.maybe(Self::cred),
            meta: self.maybe(Self::meta),
            items: self.some(3, Self::item),
        }
    }

    fn correlator(&mut self) -> Option<Text<'static>> {
        self.maybe(Self::text).filter(|_| self.version >= Version::V12)
    }

    /// A command with at most `depth` containers inside each other.
    pub(crate) fn command(&mut self, depth: usize) -> Command<'static> {
        match self.byte() % if depth > 0 { 14 } else { 12 } {
            0..=2 => Command::Change(self.change()),
            3 | 4 => Command::Status(Status {
                cmd_id: self.id(),
                msg_ref: self.word(),
                cmd_ref: self.id(),
                cmd: self.word(),
                target_refs: self.some(3, Self::address),
                source_refs: self.some(3, Self::address),
                cred: self.maybe(Self::cred),
                chal: self.maybe(|c| Chal { meta: c.meta() }),
                code: StatusCode(u16::from(self.byte()) * 3),
                items: self.some(2, Self::status_item),
            }),
            5 => Command::Alert(Alert {
                cmd_id: self.id(),
                no_resp: self.flag(),
                cred: self.maybe(Self::cred),
                code: self.maybe(|c| AlertCode(u16::from(c.byte()) + 100)),
                correlator: self.correlator(),
                items: self.some(2, Self::item),
            }),
            6 => Command::Map(Map {
                cmd_id: self.id(),
                target: self.location(),
                source: self.location(),
                cred: self.maybe(Self::cred),
                meta: self.maybe(Self::meta),
                items: self.some(3, |c| MapItem { target: c.location(), source: c.location() }),
            }),
            7 => Command::Get(Get {
                cmd_id: self.id(),
                no_resp: self.flag(),
                lang: self.maybe(Self::word),
                cred: self.maybe(Self::cred),
                meta: self.maybe(Self::meta),
                items: self.some(2, Self::plain_item),
            }),
            8 => Command::Put(Put {
                cmd_id: self.id(),
                no_resp: self.flag(),
                lang: self.maybe(Self::word),
                cred: self.maybe(Self::cred),
                meta: self.maybe(Self::meta),
                items: self.some(2, Self::devinf_item),
            }),
            9 => Command::Results(Results {
                cmd_id: self.id(),
                msg_ref: self.maybe(Self::word),
                cmd_ref: self.id(),
                meta: self.maybe(Self::meta),
                target_ref: self.maybe(Self::address),
                source_ref: self.maybe(Self::address),
                items: self.some(2, Self::devinf_item),
            }),
            10 => Command::Exec(Exec {
                cmd_id: self.id(),
                no_resp: self.flag(),
                cred: self.maybe(Self::cred),
                meta: self.maybe(Self::meta),
                correlator: self.correlator(),
                item: Box::new(self.item()),
            }),
            11 => Command::Search(Search {
                cmd_id: self.id(),
                no_resp: self.flag(),
                no_results: self.flag(),
                cred: self.maybe(Self::cred),
                target: self.maybe(Self::location),
                sources: self.some(2, Self::location),
                lang: self.maybe(Self::word),
                meta: self.maybe(Self::meta),
                data: Data::Bytes(self.bytes()),
            }),
            12 => Command::Container(Container {
                kind: if self.flag() { ContainerKind::Atomic } else { ContainerKind::Sequence },
                cmd_id: self.id(),
                no_resp: self.flag(),
                meta: self.maybe(Self::meta),
                commands: self.some(3, |c| c.command(depth - 1)),
            }),
            _ => Command::Sync(self.sync(depth - 1)),
        }
    }

    fn sync(&mut self, depth: usize) -> Sync<'static> {
        Sync {
            cmd_id: self.id(),
            no_resp: self.flag(),
            cred: self.maybe(Self::cred),
            target: self.maybe(Self::location),
            source: self.maybe(Self::location),
            meta: self.maybe(Self::meta),
            number_of_changes: self.maybe(Self::number).filter(|_| self.version >= Version::V11),
            commands: self.some(4, |c| c.command(depth)),
        }
    }

    /// A whole message.
    pub(crate) fn message(&mut self) -> Message<'static> {
        let mut header = Header::new(
            self.version,
            SessionId(self.word()),
            MsgId(u32::from(self.byte()) << 24 | 1),
            self.location(),
            self.location(),
        );
        header.ver_proto = self.word();
        header.resp_uri = self.maybe(Self::word);
        header.no_resp = self.flag();
        header.cred = self.maybe(Self::cred);
        header.meta = self.maybe(Self::meta);
        Message { header, body: self.some(5, |c| c.command(3)), last: self.flag() }
    }

    /// Device information of the version.
    pub(crate) fn devinf(&mut self) -> DevInf<'static> {
        let (since_11, since_12) = (self.version >= Version::V11, self.version >= Version::V12);
        DevInf {
            ver_dtd: self.version.dtd().into(),
            man: self.maybe(Self::text),
            model: self.maybe(Self::text),
            oem: self.maybe(Self::text),
            fwv: self.maybe(Self::text),
            swv: self.maybe(Self::text),
            hwv: self.maybe(Self::text),
            dev_id: self.address(),
            dev_type: self.word(),
            utc: self.flag() && since_11,
            large_objects: self.flag() && since_11,
            number_of_changes: self.flag() && since_11,
            stores: self.some(3, Self::store),
            content_caps: if since_12 { Vec::new() } else { self.flat_caps() },
            extensions: self.some(2, |c| Extension { name: c.word(), values: c.some(2, Self::text) }),
        }
    }

    fn store(&mut self) -> DataStore<'static> {
        let since_12 = self.version >= Version::V12;
        DataStore {
            source_ref: self.address(),
            display_name: self.maybe(Self::text),
            max_guid_size: self.maybe(Self::number),
            rx_pref: self.some(2, Self::content_type),
            rx: self.some(2, Self::content_type),
            tx_pref: self.some(2, Self::content_type),
            tx: self.some(2, Self::content_type),
            content_caps: if since_12 { self.some(2, Self::cap) } else { Vec::new() },
            memory: self.maybe(|c| StoreMemory {
                shared: c.flag(),
                max_mem: c.maybe(Self::number),
                max_id: c.maybe(Self::number),
            }),
            hierarchical: self.flag() && since_12,
            sync_kinds: self.some(3, |c| SyncKind(u32::from(c.byte()) << 20)),
            filter_rx: if since_12 { self.some(2, Self::content_type) } else { Vec::new() },
            filter_caps: if since_12 { self.some(2, Self::filter_cap) } else { Vec::new() },
        }
    }

    fn content_type(&mut self) -> ContentType<'static> {
        ContentType { media_type: self.word(), version: self.word() }
    }

    fn filter_cap(&mut self) -> FilterCap<'static> {
        FilterCap {
            content: self.content_type(),
            keywords: self.some(2, Self::word),
            properties: self.some(2, Self::word),
        }
    }

    fn cap(&mut self) -> ContentCap<'static> {
        ContentCap {
            media_type: self.word(),
            version: Some(format!("v{}", self.word()).into()),
            field_level: self.flag(),
            properties: self.some(3, |c| Property {
                name: c.word(),
                data_type: c.maybe(Self::word),
                max_occur: c.maybe(Self::number),
                max_size: c.maybe(Self::number),
                no_truncate: c.flag(),
                values: c.some(3, Self::text),
                display_name: c.maybe(Self::text),
                params: c.some(2, |c| PropParam {
                    name: c.word(),
                    data_type: c.maybe(Self::word),
                    size: None,
                    values: c.some(2, Self::text),
                    display_name: c.maybe(Self::text),
                }),
            }),
        }
    }

    /// One flat list: types differ, have properties, and these have values or a type, which alone may have a size.
    fn flat_caps(&mut self) -> Vec<ContentCap<'static>> {
        let count = self.below(3);
        (0..count)
            .map(|number| ContentCap {
                media_type: format!("text/{number}").into(),
                version: None,
                field_level: false,
                properties: (0..=self.below(3))
                    .map(|_| {
                        let (values, data_type, max_size) = self.flat_value();
                        Property {
                            name: self.word(),
                            data_type,
                            max_size,
                            values,
                            display_name: self.maybe(Self::text),
                            params: self.some(2, |c| {
                                let (values, data_type, size) = c.flat_value();
                                PropParam { name: c.word(), data_type, size, values, display_name: c.maybe(Self::text) }
                            }),
                            ..Property::default()
                        }
                    })
                    .collect(),
            })
            .collect()
    }

    fn flat_value(&mut self) -> (Vec<Text<'static>>, Option<Text<'static>>, Option<u64>) {
        match self.byte() % 3 {
            0 => (Vec::new(), None, None),
            1 => (vec![self.text(), self.text()], None, None),
            _ => (Vec::new(), Some(self.word()), self.maybe(Self::number)),
        }
    }
}
