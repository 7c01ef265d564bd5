//! How this host is.

use std::num::NonZero;
use std::thread;

use openclaw_gateway_service::service::VERSION;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_runtime_smol::client::node::{Answer, Denial};
use serde::Serialize;

use crate::target::host_name;

/// What `system.info` answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    host: Option<String>,
    platform: &'static str,
    arch: &'static str,
    version: &'static str,
    #[serde(flatten)]
    load: Load,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
}

/// How busy it is; what the system does not tell is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Load {
    cpu_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_average: Option<[f64; 3]>,
    #[serde(flatten)]
    memory: Option<Memory>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    memory_total_bytes: u64,
    memory_free_bytes: u64,
}

/// Answers `system.info`. It blocks.
pub(super) fn answer() -> Answer {
    let (load, uptime_seconds) = look();
    let info = Info {
        host: host_name(),
        platform: std::env::consts::OS,
        arch: std::env::consts::ARCH,
        version: VERSION,
        load,
        uptime_seconds,
    };
    let info = Json::of(&info).map_err(|error| Denial::new("UNAVAILABLE", error.to_string()))?;
    Ok(Some(info))
}

/// Returns what tells a gateway that the node is there. It blocks.
pub(super) fn event() -> Object {
    let (load, _) = look();
    match Json::of(&load) {
        Ok(stats) if load.memory.is_some() => Object::new()
            .text("event", "node.host.stats")
            .text("payloadJSON", stats.as_str()),
        Ok(_) | Err(_) => Object::new()
            .text("event", "node.presence.alive")
            .text("payloadJSON", r#"{"trigger":"connect"}"#),
    }
}

#[cfg(target_os = "linux")]
fn look() -> (Load, Option<u64>) {
    let system = rustix::system::sysinfo();
    // Fixed point, as <linux/sysinfo.h> has it; two digits are what people read.
    let average =
        |load| (f64::from(u32::try_from(load).unwrap_or(u32::MAX)) / 655.36).round() / 100.0;
    let load = Load {
        cpu_count: cpus(),
        load_average: Some(system.loads.map(average)),
        memory: std::fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| memory(&text)),
    };
    (load, u64::try_from(system.uptime).ok())
}

#[cfg(not(target_os = "linux"))]
fn look() -> (Load, Option<u64>) {
    let load = Load {
        cpu_count: cpus(),
        load_average: None,
        memory: None,
    };
    (load, None)
}

/// Free is what programs could have; what is unused is less than that.
#[cfg(target_os = "linux")]
fn memory(text: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        kib.checked_mul(1_024)
    };
    let total = bytes("MemTotal:")?;
    Some(Memory {
        memory_total_bytes: total,
        memory_free_bytes: bytes("MemAvailable:")?.min(total),
    })
}

fn cpus() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_read_as_the_system_writes_it() {
        let text = "MemTotal:       16 kB\nMemFree:         1 kB\nMemAvailable:    3 kB\n";
        let memory = memory(text).unwrap();
        assert_eq!(memory.memory_total_bytes, 16_384);
        assert_eq!(memory.memory_free_bytes, 3_072);
        assert!(super::memory("MemTotal: x kB\n").is_none());
    }

    #[test]
    fn a_host_tells_what_it_knows_and_nothing_else() {
        let info: Value = answer().unwrap().unwrap().read().unwrap();
        assert_eq!(info["platform"], std::env::consts::OS);
        assert!(info["cpuCount"].as_u64() > Some(0), "{info}");
        if cfg!(target_os = "linux") {
            assert!(info["memoryTotalBytes"].as_u64() >= info["memoryFreeBytes"].as_u64());
            assert!(
                info["uptimeSeconds"].is_u64() && info["loadAverage"][2].is_number(),
                "{info}"
            );
        }
    }
}
