//! What the page says, in each of its languages.

/// A language that the page speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    #[cfg(test)]
    pub(super) const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// Its code, as the `lang` attribute has it.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-Hans",
        }
    }

    /// What it calls itself.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    /// The other one.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::English => Self::Chinese,
            Self::Chinese => Self::English,
        }
    }

    /// The language of that code.
    pub(super) fn of_code(code: &str) -> Option<Self> {
        let first = code.trim().split(['-', '_']).next().unwrap_or_default();
        let known = [("en", Self::English), ("zh", Self::Chinese)];
        known.into_iter().find(|(name, _)| first.eq_ignore_ascii_case(name)).map(|(_, language)| language)
    }

    /// The language that a browser would rather have (RFC 9110 §12.5.4); English where it has no wish that can be met.
    pub(super) fn accepted(header: &str) -> Self {
        let mut best = (0.0, Self::English);
        for wish in header.split(',') {
            let (code, rest) = wish.split_once(';').unwrap_or((wish, ""));
            let weight = rest.trim().strip_prefix("q=").map_or(Some(1.0_f32), |q| q.trim().parse().ok());
            if let (Some(language), Some(weight)) = (Self::of_code(code), weight.filter(|weight| *weight > best.0)) {
                best = (weight, language);
            }
        }
        best.1
    }

    /// Says it.
    pub(super) const fn say(self, phrase: Phrase) -> &'static str {
        match self {
            Self::English => phrase.texts()[0],
            Self::Chinese => phrase.texts()[1],
        }
    }

    /// Says it with something in the place of each `{}`.
    pub(super) fn fill(self, phrase: Phrase, parts: &[&str]) -> String {
        let mut pieces = self.say(phrase).split("{}");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for (index, piece) in pieces.enumerate() {
            text.push_str(parts.get(index).copied().unwrap_or_default());
            text.push_str(piece);
        }
        text
    }
}

macro_rules! phrases {
    ($($name:ident: $english:literal, $chinese:literal;)*) => {
        /// Something that the page says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Phrase {
            $($name,)*
        }

        impl Phrase {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// In the order of [`Language::ALL`].
            const fn texts(self) -> [&'static str; 2] {
                match self {
                    $(Self::$name => [$english, $chinese],)*
                }
            }
        }
    };
}

phrases! {
    // The frame.
    Title: "Address book", "通讯录";
    SkipToContent: "Skip to the content", "跳到内容";
    Navigation: "Main", "主导航";
    Contacts: "Contacts", "联系人";
    History: "History", "历史记录";
    Devices: "Devices", "设备";
    Held: "To decide", "待决定";
    SignOut: "Sign out", "退出";
    SignedInAs: "Signed in as {}", "已登录：{}";
    Back: "Back", "返回";
    Cancel: "Cancel", "取消";
    // Signing in.
    SignIn: "Sign in", "登录";
    UserName: "User name", "用户名";
    Password: "Password", "密码";
    WrongPassword: "The name or the password is wrong.", "用户名或密码错误。";
    TooManyTries: "Too many tries. Wait {} seconds.", "尝试次数过多，请等待 {} 秒。";
    FormTooOld: "This form is too old. Try again.", "表单已过期，请重试。";
    NoTls: "This page is served over TLS only, or to this machine itself.", "本页面仅通过 TLS 提供，或仅限本机访问。";
    // Books and search.
    Books: "Books", "通讯簿";
    Search: "Search", "搜索";
    SearchHint: "Name, number, e-mail or any other word", "姓名、号码、电子邮件或其他词语";
    NothingFound: "Nothing is found.", "没有找到。";
    EmptyBook: "This book is empty.", "此通讯簿为空。";
    CountOfItems: "{} items", "{} 个条目";
    Shown: "{} shown", "显示 {} 个";
    More: "More", "更多";
    FromTheStart: "From the start", "从头开始";
    SearchOn: "Search the rest", "继续搜索";
    NewContact: "New contact", "新建联系人";
    Name: "Name", "名称";
    Number: "Number", "号码";
    Email: "E-mail", "电子邮件";
    NoName: "(no name)", "（无名称）";
    ReadOnlyBook: "What is in this book is not edited here.", "此内容不能在此编辑。";
    // A card.
    Edit: "Edit", "编辑";
    Save: "Save", "保存";
    Delete: "Delete", "删除";
    DeleteHint: "It goes from all devices with their next sync, and can be brought back from the history.", "下次同步时将从所有设备删除，可从历史记录恢复。";
    FamilyName: "Family name", "姓";
    GivenName: "Given name", "名";
    MiddleName: "Middle name", "中间名";
    NamePrefix: "Prefix", "前缀";
    NameSuffix: "Suffix", "后缀";
    DisplayName: "Displayed as", "显示名称";
    Nickname: "Nickname", "昵称";
    Organization: "Organization", "单位";
    Department: "Department", "部门";
    JobTitle: "Title", "职务";
    Birthday: "Birthday", "生日";
    Note: "Note", "备注";
    Website: "Web address", "网址";
    Street: "Street", "街道";
    City: "City", "城市";
    Region: "Region", "省/州";
    PostalCode: "Postal code", "邮政编码";
    Country: "Country", "国家";
    Address: "Address", "地址";
    Another: "{}, another", "{}（新增）";
    Kind: "Kind of number", "号码类型";
    KindCell: "mobile", "手机";
    KindHome: "home", "住宅";
    KindWork: "work", "工作";
    KindFax: "fax", "传真";
    Other: "What else the card has", "名片的其他内容";
    OtherHint: "This stays as it is.", "这些内容保持不变。";
    BinaryData: "{} bytes of data", "{} 字节的数据";
    LastChange: "Last change: {}, by {}", "上次修改：{}，来自 {}";
    Saved: "It is saved. Devices get it with their next sync.", "已保存。设备将在下次同步时收到。";
    SavedMerged: "It is saved, together with what was changed meanwhile.", "已保存，并与期间的更改合并。";
    NothingChanged: "Nothing was changed.", "没有更改。";
    Deleted: "It is deleted.", "已删除。";
    EmptyCard: "A contact needs a name, a number or an address.", "联系人需要名称、号码或地址。";
    TooLarge: "That is too large.", "内容过大。";
    // What came between.
    ChangedMeanwhile: "It was changed meanwhile", "期间已被更改";
    ConflictHint: "Your change and the other one touch the same fields. Nothing is saved yet.", "您的更改与另一更改涉及相同字段，尚未保存。";
    Theirs: "As it is now", "当前内容";
    Yours: "As you want it", "您的内容";
    TakeYours: "Save yours", "保存您的内容";
    KeepTheirs: "Leave it as it is now", "保留当前内容";
    GoneMeanwhile: "It was deleted meanwhile. The history can bring it back.", "期间已被删除，可从历史记录恢复。";
    DeleteChanged: "It was changed meanwhile, and is not deleted. Look at it again.", "期间已被更改，因此没有删除，请重新查看。";
    // The past.
    HistoryOf: "History of {}", "{} 的历史记录";
    When: "When", "时间";
    By: "By", "来源";
    What: "What", "操作";
    Revision: "Revision", "版本";
    Added: "added", "添加";
    Changed: "changed", "修改";
    DeletedThen: "deleted", "删除";
    Host: "the host", "主机";
    Difference: "What this revision changed", "此版本的更改";
    SinceThen: "What has changed since", "此后的更改";
    Field: "Field", "字段";
    Before: "Before", "之前";
    After: "After", "之后";
    Same: "Nothing differs.", "没有差异。";
    NoCard: "It is no contact: {} bytes.", "不是联系人：{} 字节。";
    RestoreItem: "Bring this revision back", "恢复此版本";
    RestoredItem: "It is as it was. Devices get it with their next sync.", "已恢复。设备将在下次同步时收到。";
    RestoreBook: "Set the whole book back", "将整本通讯簿恢复到";
    RestoreMoment: "To this moment (UTC)", "此时刻（UTC）";
    RestorePreview: "See what would happen", "预览";
    RestorePlan: "{} come back, {} are changed back, {} are deleted.", "恢复 {} 个，改回 {} 个，删除 {} 个。";
    RestoreNow: "Do it", "执行";
    RestoredBook: "The book is as it was. Devices get it with their next sync.", "通讯簿已恢复。设备将在下次同步时收到。";
    RestoreWrongTime: "That is no moment of this book.", "此时刻无效。";
    RestorePurged: "That is not kept any more.", "该内容已不再保留。";
    Restores: "Earlier restores", "以前的恢复";
    UndoRestore: "Undo", "撤销";
    NoHistory: "There is nothing.", "没有记录。";
    Older: "Older", "更早";
    // Conflicts that were decided.
    Conflicts: "Conflicts", "冲突";
    ConflictsAre: "Where a device and others had changed the same thing, one stands. What lost is kept, and can be taken back.", "设备与其他来源更改了同一内容时，只保留其一。未采用的内容仍然保存，可以取回。";
    NoConflicts: "There was no conflict.", "没有冲突。";
    Fields: "Fields", "字段";
    WholeItem: "all of it", "全部";
    Outcome: "What stands", "采用";
    WonHere: "what was here", "此处的内容";
    WonPeer: "what the device said", "设备的内容";
    WonBoth: "both, as two", "两者都保留";
    LostValue: "What lost", "未采用";
    RevisionNumber: "Revision {}", "版本 {}";
    SeeCopy: "The copy", "副本";
    TakeBackLost: "Take it back", "取回";
    ChangedConflict: "changed, a conflict", "修改（冲突）";
    SomeConflicts: "Conflicts: {}", "冲突：{}";
    Conflict: "Conflict", "冲突";
    NoSuchConflict: "That conflict is not kept any more, or nothing lost in it.", "该冲突已不再保留，或没有内容丢失。";
    // Devices.
    NoDevices: "No device has synced yet.", "还没有设备同步过。";
    LastSeen: "Last seen", "上次出现";
    LastSync: "Last good sync", "上次成功同步";
    Never: "never", "从未";
    Mode: "Kind of sync", "同步方式";
    Result: "Result", "结果";
    Behind: "Changes waiting", "待同步更改";
    CanHold: "Can hold", "可保存的字段";
    Everything: "everything", "全部";
    Book: "Book", "通讯簿";
    ResultGood: "ended well", "成功";
    ResultBroken: "did not end", "未完成";
    ResultOpen: "under way", "进行中";
    WaitingToDecide: "something waits for your decision", "有内容等待您的决定";
    LiveTitle: "Under way now", "正在进行";
    LiveNone: "No device is syncing now.", "当前没有设备在同步。";
    PhaseReceiving: "receiving", "接收中";
    PhaseSettling: "comparing", "比较中";
    PhaseSending: "sending", "发送中";
    PhaseConfirming: "waiting for confirmation", "等待确认";
    LiveCounts: "{} changes made here, {} still to be told", "此处已更改 {} 个，还需发送 {} 个";
    Reload: "Reload", "刷新";
    ModeTwoWay: "two-way", "双向";
    ModeSlow: "slow: everything is compared", "慢速：全部比较";
    ModeFromClient: "from the device only", "仅从设备";
    ModeFromServer: "to the device only", "仅到设备";
    ModeRefreshFromClient: "the device replaces what is here", "以设备内容替换";
    ModeRefreshFromServer: "what is here replaces the device's", "以此处内容替换设备";
    // A lost device.
    Lost: "Lost device", "丢失的设备";
    LostLink: "It is lost: stop or clear it", "设备丢失：停止或清除";
    KeyHandedOut: "Key handed out", "密钥发放时间";
    NotEnrolled: "This device has no key yet, and answers 501 to every order. Make its key, carry the file to the device by hand, and say there:", "此设备还没有密钥，对任何指令都回答 501。请生成密钥，亲手带到设备上，并在设备上执行：";
    KeyIsSecret: "Who has this file can order anything of the device. Remove it once the device has it. It is given out once.", "持有此文件者可以对该设备下达任何指令。设备取得后请删除。只发放一次。";
    MakeKey: "Make its key", "生成密钥";
    HasKey: "It has a key. Only who runs the server can make another (syncml control enrol --anew).", "设备已有密钥，只有服务器管理员能重新生成（syncml control enrol --anew）。";
    HasNoKey: "This device has no key: it will answer 501, and nothing will happen on it.", "此设备没有密钥：它将回答 501，不会执行任何操作。";
    Backup: "Backup", "备份";
    BackupConfirmed: "Last confirmed backup", "上次确认的备份";
    StopIt: "Stop its applications", "停止其应用";
    ClearIt: "Clear its data", "清除其数据";
    OrderIt: "Order it", "下达指令";
    Instead: "Or instead", "其他选择";
    PutItAside: "Put the data aside on the device, do not delete it", "将数据移开并保留在设备上，不删除";
    DeleteIt: "Delete the data, do not put it aside", "删除数据，不保留";
    DoNotWait: "Do not wait for a backup (forced)", "不等待备份（强制）";
    WaitForBackup: "Wait for a backup", "等待备份";
    OrderOnceBackedUp: "The device is told in a sync that has backed up all that is on it.", "设备在一次同步中备份全部内容后，才会收到指令。";
    OrderAtOnce: "The device is told when its next sync begins, even if not all that is on it is backed up.", "下次同步开始时设备就会收到指令，即使尚未全部备份。";
    OrderStops: "Then its applications are stopped: nothing leaves it any more until somebody lets it go on there.", "随后其应用被停止：在设备上恢复之前，不再上传任何内容。";
    OrderClears: "Then its data is deleted there, and its applications are stopped.", "随后删除设备上的数据，并停止其应用。";
    OrderPutsAside: "Then its data is put aside there, and its applications are stopped. Who has the device can still find it.", "随后设备上的数据被移开，并停止其应用。持有设备者仍可能找到这些数据。";
    OrderLoses: "What is on it and not here is lost.", "仅存在于设备上的内容将会丢失。";
    OrderKeepsHere: "What is here stays, and can be brought to another device.", "此处的内容保留，可恢复到其他设备。";
    OrderNotUnderstood: "A device of another make, or one without a key, answers 501 (not understood): then nothing happens on it, and this page says so.", "其他品牌的设备或没有密钥的设备会回答 501（不理解）：此时设备上不会执行任何操作，本页面会显示。";
    OrderHolds: "The order holds for a week, and can be taken back until the device was told.", "指令有效期为一周，在告知设备之前可以撤回。";
    Orders: "Orders", "指令";
    NoOrders: "Nothing was ordered.", "没有指令。";
    Order: "No.", "编号";
    Given: "Given", "下达时间";
    HoldsUntil: "Holds until", "有效期至";
    State: "State", "状态";
    DeviceSays: "The device says", "设备答复";
    TaskStop: "stop applications", "停止应用";
    TaskClear: "clear data", "清除数据";
    TaskPutAside: "put data aside", "移开数据";
    Forced: ", forced", "（强制）";
    TakeBack: "Take back", "撤回";
    OrderWaiting: "waiting", "等待中";
    OrderPutOff: "waiting, refused for now with {}", "等待中，设备暂时拒绝（{}）";
    OrderTold: "told", "已告知";
    OrderTaken: "taken", "已接受";
    OrderDone: "done", "已完成";
    OrderFailed: "failed", "失败";
    OrderUnknown: "not understood (501)", "设备不理解（501）";
    OrderRefused: "refused with {}", "被拒绝（{}）";
    OrderCancelled: "taken back", "已撤回";
    OrderExpired: "expired", "已过期";
    Ordered: "It is ordered. The device gets it when it syncs.", "指令已下达。设备同步时将收到。";
    TakenBack: "It is taken back.", "已撤回。";
    TooManyOrders: "Too many orders wait for this device. Take some back.", "等待此设备的指令过多，请撤回一些。";
    OrderTooLate: "It cannot be taken back any more.", "已无法撤回。";
    // What is held.
    NothingHeld: "Nothing waits for your decision.", "没有待决定的内容。";
    HeldDeletes: "So many deletes in one sync do not look like anybody's wish.", "一次同步删除过多，可能并非本意。";
    HeldVanished: "The device showed hardly anything any more.", "设备几乎没有显示任何内容。";
    HeldSlowSync: "The device wants to compare everything although nobody asked for it.", "设备要求全部比较，但无人提出。";
    HeldItems: "{} of {} contacts would be deleted:", "将删除 {} 个联系人（共 {} 个）：";
    AndMore: "and {} more", "以及另外 {} 个";
    Since: "Since {}", "自 {}";
    Release: "It was meant: let it happen", "确实如此：执行";
    Discard: "It was an accident: keep everything", "误操作：全部保留";
    Released: "It may happen; it happens when the device tries again.", "已允许；设备再次尝试时执行。";
    DecidedReleased: "{} are deleted, {} stay.", "删除 {} 个，保留 {} 个。";
    DecidedDiscarded: "{} stay and go back to the device with its next sync.", "{} 个保留，并将在下次同步时送回设备。";
    // What goes wrong.
    NotFound: "There is no such page.", "没有此页面。";
    Refused: "The request did not come from this page, or the page was too old. Nothing was done.", "请求并非来自本页面，或页面已过期。未执行任何操作。";
    BadRequest: "That cannot be understood.", "无法理解该请求。";
    Unavailable: "The server cannot do that now. Try again in a moment.", "服务器暂时无法执行，请稍后重试。";
}

#[cfg(test)]
mod tests {
    use super::{Language, Phrase};

    #[test]
    fn every_phrase_is_there_in_every_language() {
        let mut seen = std::collections::BTreeSet::new();
        for phrase in Phrase::ALL {
            let texts = phrase.texts();
            assert!(texts.iter().all(|text| !text.trim().is_empty() && text.trim() == *text), "{phrase:?}");
            assert!(texts[0].is_ascii() && !texts[1].is_ascii(), "{phrase:?}");
            let places = texts.map(|text| text.matches("{}").count());
            assert_eq!(places[0], places[1], "{phrase:?}");
            assert!(Language::ALL.iter().all(|language| texts.contains(&language.say(*phrase))));
            seen.insert(format!("{phrase:?}"));
        }
        assert_eq!(seen.len(), Phrase::ALL.len());
    }

    #[test]
    fn the_browser_chooses() {
        use Language::{Chinese, English};
        for (header, expected) in [
            ("", English),
            ("de", English),
            ("zh", Chinese),
            ("zh-TW,zh;q=0.9,en;q=0.8", Chinese),
            ("en-GB,zh;q=0.9", English),
            ("zh;q=0.5,en;q=0.7", English),
            ("de,zh;q=0.1", Chinese),
            ("zh;q=0, en;q=0.1", English),
            ("zh;q=x", English),
            ("ZH-hans", Chinese),
        ] {
            assert_eq!(Language::accepted(header), expected, "{header}");
        }
        for language in Language::ALL {
            assert_eq!(Language::of_code(language.code()), Some(language));
            assert_eq!(language.other().other(), language);
        }
    }

    #[test]
    fn places_are_filled() {
        assert_eq!(Language::English.fill(Phrase::HeldItems, &["3", "{}"]), "3 of {} contacts would be deleted:");
        assert_eq!(Language::Chinese.fill(Phrase::TooManyTries, &[]), "尝试次数过多，请等待  秒。");
    }
}
