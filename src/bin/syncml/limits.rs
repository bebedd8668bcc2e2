//! What a server gives to those who ask for much.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use syncml::session::{Rate, ServerConfig};
use syncml::transport::http::server::Options;

#[derive(Debug, clap::Args)]
pub(crate) struct LimitArgs {
    /// The most live items that devices may fill a book with; no limit if not said
    #[arg(long, value_name = "N")]
    max_items: Option<u64>,
    /// The same in bytes of content
    #[arg(long, value_name = "N")]
    max_bytes: Option<u64>,
    /// The most live items that devices may fill all books of an account with; no limit if not said
    #[arg(long, value_name = "N")]
    max_account_items: Option<u64>,
    /// The same in bytes of content
    #[arg(long, value_name = "N")]
    max_account_bytes: Option<u64>,
    /// How many devices an account may have
    #[arg(long, value_name = "N", default_value_t = ServerConfig::default().max_devices)]
    max_devices: usize,
    /// How many sessions a device may have open before those that are about no book are ended
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..),
        default_value_t = ServerConfig::default().max_sessions)]
    max_sessions: u64,
    /// How many messages a device of an account may send: at once, and each second from then on. 0 for no limit
    #[arg(long, value_name = "N:N", default_value_t = Shown(ServerConfig::default().device_rate))]
    device_rate: Shown,
    /// How many messages may come from an address, in the same way. This machine is not counted
    #[arg(long, value_name = "N:N", default_value_t = Shown(ServerConfig::default().address_rate))]
    address_rate: Shown,
    /// How long a message may take to arrive beside the time that its bytes need at --body-rate, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = Options::default().body_grace.as_secs())]
    body_grace: u64,
    /// The slowest that a message may come, in bytes a second on average; 0 for as slow as it likes
    #[arg(long, value_name = "N", default_value_t = Options::default().body_rate)]
    body_rate: u32,
    /// How many connections may be open at once
    #[arg(long, value_name = "N", default_value_t = Options::default().max_connections)]
    max_connections: usize,
    /// How many of them from one address, or one network of 64 bits of IPv6
    #[arg(long, value_name = "N", default_value_t = Options::default().max_connections_per_address)]
    max_connections_per_address: usize,
    /// Count connections from this machine among those of one address, too: no proxy is here that speaks for all
    #[arg(long)]
    count_loopback: bool,
}

impl LimitArgs {
    pub(crate) fn apply(&self, config: &mut ServerConfig, options: &mut Options) {
        (config.max_items, config.max_bytes) = (self.max_items, self.max_bytes);
        (config.max_account_items, config.max_account_bytes) = (self.max_account_items, self.max_account_bytes);
        (config.max_devices, config.max_sessions) = (self.max_devices, self.max_sessions);
        (config.device_rate, config.address_rate) = (self.device_rate.0, self.address_rate.0);
        (options.body_grace, options.body_rate) = (Duration::from_secs(self.body_grace), self.body_rate);
        options.max_connections = self.max_connections;
        options.max_connections_per_address = self.max_connections_per_address;
        options.count_loopback = self.count_loopback;
    }
}

/// A rate as it is written: `5000:50`.
#[derive(Clone, Copy, Debug)]
struct Shown(Rate);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rate { burst, per_second } = self.0;
        if burst == 0 { f.write_str("0") } else { write!(f, "{burst}:{per_second}") }
    }
}

impl FromStr for Shown {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (burst, per_second) = if text == "0" { ("0", "0") } else { text.split_once(':').ok_or(FORM)? };
        let number = |text: &str| text.parse().map_err(|_| FORM);
        let rate = Rate { burst: number(burst)?, per_second: number(per_second)? };
        // Who used up what comes at once would wait for ever.
        if rate.burst > 0 && rate.per_second == 0 { Err(FORM) } else { Ok(Self(rate)) }
    }
}

const FORM: &str = "write how many at once and how many each second, such as 5000:50, or 0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_are_written() {
        for text in ["5000:50", "1:1", "0"] {
            assert_eq!(text.parse::<Shown>().unwrap().to_string(), text);
        }
        for text in ["", "5000", "5000:", ":50", "5000:0", "-1:5", "5:5:5", "4294967296:1", "many"] {
            assert_eq!(text.parse::<Shown>().unwrap_err(), FORM, "{text}");
        }
    }

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        limits: LimitArgs,
    }

    #[test]
    fn what_is_not_said_is_as_the_library_has_it_and_all_that_is_said_counts() {
        use clap::Parser as _;
        let applied = |words: &[&str]| {
            let (mut config, mut options) = (ServerConfig::default(), Options::default());
            let words = std::iter::once("syncml").chain(words.iter().copied());
            Alone::parse_from(words).limits.apply(&mut config, &mut options);
            (format!("{config:#?}"), format!("{options:#?}"))
        };
        let (config, options) = applied(&[]);
        assert_eq!(config, format!("{:#?}", ServerConfig::default()));
        assert_eq!(options, format!("{:#?}", Options::default()));
        for (flag, said) in [
            ("--max-items=7001", "max_items: Some(\n        7001,"),
            ("--max-bytes=7002", "max_bytes: Some(\n        7002,"),
            ("--max-account-items=7003", "max_account_items: Some(\n        7003,"),
            ("--max-account-bytes=7004", "max_account_bytes: Some(\n        7004,"),
            ("--max-devices=7005", "max_devices: 7005,"),
            ("--max-sessions=7006", "max_sessions: 7006,"),
            ("--device-rate=7007:7", "device_rate: Rate {\n        burst: 7007,\n        per_second: 7,"),
            ("--address-rate=7008:8", "address_rate: Rate {\n        burst: 7008,\n        per_second: 8,"),
            ("--body-grace=7009", "body_grace: 7009s,"),
            ("--body-rate=7010", "body_rate: 7010,"),
            ("--max-connections=7011", "max_connections: 7011,"),
            ("--max-connections-per-address=7012", "max_connections_per_address: 7012,"),
            ("--count-loopback", "count_loopback: true,"),
        ] {
            let (config, options) = applied(&[flag]);
            assert!((config + &options).contains(said), "{flag}");
        }
    }
}
