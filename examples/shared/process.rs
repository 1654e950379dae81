//! What the operating system knows of this process. Linux.

/// The most memory that it ever had resident.
pub const PEAK: &str = "VmHWM:";

/// Memory of this process in MB, by its field in /proc/self/status.
pub fn memory(field: &str) -> Result<f64, Box<dyn std::error::Error + Send + Sync>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field)).ok_or_else(|| format!("no {field}"))?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? / 1024.0)
}
