//! Device information as it is found in the field.

use super::{first_data, read, with_body};
use crate::codec::{Encoding, Limits, decode, decode_devinf, encode, encode_devinf};
use crate::message::{ContentCap, Data, DevInf, PropParam, Property, Version};

fn devinf(xml: &str) -> DevInf<'_> {
    decode_devinf(xml.as_bytes(), &Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn it_is_recognised_in_any_quoting() {
    let document = "<DevInf xmlns='syncml:devinf'><VerDTD>1.1</VerDTD><DevID>d</DevID><UTC/></DevInf>";
    let escaped = document.replace('<', "&lt;").replace('>', "&gt;");
    let declared = format!("<![CDATA[<?xml version=\"1.0\"?>\r\n{document}]]>");
    for quoted in
        [document.to_owned(), format!("\n  {document}\n"), format!("<![CDATA[{document}]]>"), escaped, declared]
    {
        for command in ["Put", "Results"] {
            let xml = with_body(&format!(
                "<{command}><CmdID>1</CmdID><CmdRef>1</CmdRef><Meta><Type>application/vnd.syncml-devinf+xml</Type></Meta>\
                 <Item><Data>{quoted}</Data></Item></{command}>"
            ));
            let message = read(&xml);
            let Data::DevInf(devinf) = first_data(&message) else { panic!("{quoted}") };
            assert_eq!((&*devinf.dev_id, devinf.utc), ("d", true));
        }
    }
}

#[test]
fn what_cannot_be_read_stays_data() {
    for data in ["&lt;DevInf>", "nothing", ""] {
        let xml = with_body(&format!(
            "<Put><CmdID>1</CmdID><Meta><Type>application/vnd.syncml-devinf+xml</Type></Meta><Item><Data>{data}</Data></Item></Put>"
        ));
        assert!(matches!(first_data(&read(&xml)), Data::Bytes(_)), "{data}");
    }
}

#[test]
fn a_quoted_document_counts_its_elements() {
    let many = "&lt;Ext/&gt;".repeat(50);
    let xml =
        with_body(&format!("<Put><CmdID>1</CmdID><Item><Data>&lt;DevInf&gt;{many}&lt;/DevInf&gt;</Data></Item></Put>"));
    let limits = |max_elements| Limits { max_elements, ..Limits::default() };
    assert!(decode(xml.as_bytes(), Encoding::Xml, &limits(66)).is_ok());
    assert!(decode(xml.as_bytes(), Encoding::Xml, &limits(65)).expect_err("limit").is_limit());
}

const FLAT: &str = "<DevInf><VerDTD>1.1</VerDTD><DevID>d</DevID><DevTyp>phone</DevTyp>\
    <DataStore><SourceRef>./c</SourceRef><Rx-Pref><CTType>text/x-vcard</CTType><VerCT>2.1</VerCT></Rx-Pref>\
    <Tx-Pref><CTType>text/x-vcard</CTType><VerCT>2.1</VerCT></Tx-Pref><SyncCap><SyncType>1</SyncType></SyncCap></DataStore>\
    <CTCap><CTType>text/x-vcard</CTType><PropName>BEGIN</PropName><ValEnum>VCARD</ValEnum>\
    <PropName>N</PropName><DataType>chr</DataType><Size>30</Size><DisplayName>Name</DisplayName>\
    <PropName>TEL</PropName><ParamName>VOICE</ParamName><ParamName>TYPE</ParamName><ValEnum>CELL</ValEnum><ValEnum>HOME</ValEnum>\
    <CTType>text/x-vcalendar</CTType><PropName>DUE</PropName></CTCap></DevInf>";

/// Catalogue: DEVI-1
#[test]
fn the_flat_list_becomes_a_structure_and_back() {
    let devinf = devinf(FLAT);
    let [card, calendar] = &devinf.content_caps[..] else { panic!("{:?}", devinf.content_caps) };
    assert_eq!((&*card.media_type, card.properties.len()), ("text/x-vcard", 3));
    let property = |name: &'static str| Property { name: name.into(), ..Property::default() };
    assert_eq!(card.properties[0], Property { values: vec!["VCARD".into()], ..property("BEGIN") });
    assert_eq!(
        card.properties[1],
        Property {
            data_type: Some("chr".into()),
            max_size: Some(30),
            display_name: Some("Name".into()),
            ..property("N")
        }
    );
    let voice = PropParam { name: "VOICE".into(), ..PropParam::default() };
    let kind = PropParam { name: "TYPE".into(), values: vec!["CELL".into(), "HOME".into()], ..PropParam::default() };
    assert_eq!(card.properties[2], Property { params: vec![voice, kind], ..property("TEL") });
    assert_eq!(calendar.properties, [property("DUE")]);

    let again = encode_devinf(&devinf, Version::V11, Encoding::Xml).expect("written");
    let again = String::from_utf8(again).expect("UTF-8");
    assert_eq!(
        again,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>{}",
            FLAT.replace("<DevInf>", "<DevInf xmlns=\"syncml:devinf\">")
        )
    );
}

/// Catalogue: DEVI-1, DEVI-2
#[test]
fn capabilities_stand_where_the_version_wants_them() {
    let flat = devinf(FLAT);
    let new = encode_devinf(&flat, Version::V12, Encoding::Xml).expect("written");
    let new = devinf(std::str::from_utf8(&new).expect("UTF-8")).into_owned();
    assert_eq!(new.version(), Some(Version::V12));
    assert!(new.content_caps.is_empty());
    let [card] = &new.stores[0].content_caps[..] else { panic!("the calendar belongs to no store") };
    assert_eq!((card.version.as_deref(), &card.properties), (Some("2.1"), &flat.content_caps[0].properties));

    let old = encode_devinf(&new, Version::V10, Encoding::Wbxml).expect("written");
    let old = decode_devinf(&old, &Limits::default()).expect("read");
    assert_eq!((old.version(), old.content_caps.len(), old.stores[0].content_caps.len()), (Some(Version::V10), 1, 0));
}

#[test]
fn old_versions_get_no_new_elements() {
    let mut rich = devinf(FLAT);
    (rich.utc, rich.large_objects, rich.number_of_changes) = (true, true, true);
    rich.stores[0].hierarchical = true;
    rich.stores[0].content_caps = vec![ContentCap {
        media_type: "text/plain".into(),
        version: Some("1.0".into()),
        field_level: true,
        properties: vec![Property {
            name: "P".into(),
            max_occur: Some(1),
            max_size: Some(9),
            no_truncate: true,
            ..Property::default()
        }],
    }];
    let write =
        |version| String::from_utf8(encode_devinf(&rich, version, Encoding::Xml).expect("written")).expect("UTF-8");
    let (v10, v11, v12) = (write(Version::V10), write(Version::V11), write(Version::V12));
    for flag in ["<UTC/>", "<SupportLargeObjs/>", "<SupportNumberOfChanges/>"] {
        assert_eq!([&v10, &v11, &v12].map(|text| text.contains(flag)), [false, true, true], "{flag}");
    }
    for new in ["<MaxOccur>", "<NoTruncate/>", "<FieldLevel/>", "<SupportHierarchicalSync/>", "<Property>", "<MaxSize>"]
    {
        assert_eq!([&v10, &v11, &v12].map(|text| text.contains(new)), [false, false, true], "{new}");
    }
    // A size of its own is not in the old DTD: it comes with the type that everything has.
    assert!(v11.contains("<PropName>P</PropName><DataType>chr</DataType><Size>9</Size>"), "{v11}");
}

/// Catalogue: DEVI-3
#[test]
fn oddities_of_phones_are_read() {
    let odd = devinf(
        "<DevInf><Man>N\r\nokia</Man><FwV>V 1\n2</FwV><DevTyp> phone </DevTyp><SupportLargeObjs></SupportLargeObjs>\
         <CTCap><CTType>a/b</CTType><VerCT/><FieldLevel/><Property><PropName>P</PropName><DataType>chr</DataType><ValEnum>x</ValEnum>\
         <Size>4</Size><ParamName>TYPE</ParamName><ValEnum>HOME</ValEnum><ParamName>PREF</ParamName></Property></CTCap>\
         <DataStore><SyncCap><SyncType>1</SyncType><SyncType>390001</SyncType></SyncCap><SourceRef>c</SourceRef>\
         <MaxGUIDSize/><Rx-Pref><CTType>t/1</CTType><VerCT></VerCT></Rx-Pref><Rx-Pref><CTType>t/2</CTType></Rx-Pref></DataStore></DevInf>",
    );
    assert_eq!((odd.man.as_deref(), odd.fwv.as_deref(), &*odd.dev_type), (Some("N\r\nokia"), Some("V 1\n2"), "phone"));
    assert!(odd.large_objects);
    let cap = &odd.content_caps[0];
    assert_eq!((&cap.version, cap.field_level), (&None, true));
    let property = &cap.properties[0];
    assert_eq!((property.max_size, property.data_type.as_deref(), property.values.len()), (Some(4), Some("chr"), 1));
    assert_eq!(
        property.params.iter().map(|param| (&*param.name, param.values.len())).collect::<Vec<_>>(),
        [("TYPE", 1), ("PREF", 0)]
    );
    let store = &odd.stores[0];
    assert_eq!((&*store.source_ref, store.max_guid_size, store.rx_pref.len()), ("c", None, 2));
    assert_eq!(store.sync_kinds.iter().map(|kind| kind.0).collect::<Vec<_>>(), [1, 390_001]);
    assert!(devinf("<DevInf/>").stores.is_empty());
}

/// Catalogue: DEVI-3
#[test]
fn after_a_parameter_in_its_own_element_the_property_goes_on() {
    let devinf = devinf(
        "<DevInf><DataStore><CTCap><CTType>a/b</CTType><Property><PropName>P</PropName><PropParam><ParamName>X</ParamName>\
         <ValEnum>1</ValEnum></PropParam><DataType>int</DataType><MaxSize>5</MaxSize></Property></CTCap></DataStore></DevInf>",
    );
    let property = &devinf.stores[0].content_caps[0].properties[0];
    assert_eq!((property.data_type.as_deref(), property.max_size), (Some("int"), Some(5)));
    assert_eq!(property.params[0].values.len(), 1);
}

#[test]
fn a_message_carries_its_own_version_of_it() {
    let xml =
        with_body("<Put><CmdID>1</CmdID><Item><Data><DevInf><VerDTD>1.2</VerDTD><UTC/></DevInf></Data></Item></Put>");
    let mut message = read(&xml);
    message.header.ver_dtd = "1.0".into();
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let bytes = encode(&message, encoding).expect("written");
        let again = decode(&bytes, encoding, &Limits::default()).expect("read");
        let Data::DevInf(devinf) = first_data(&again) else { panic!() };
        assert_eq!((devinf.version(), devinf.utc), (Some(Version::V10), false));
    }
}
