//! What the operating system knows of this process. Linux.

type Outcome = Result<f64, Box<dyn std::error::Error + Send + Sync>>;

/// The most memory that it ever had resident, in MB.
pub fn peak_memory() -> Outcome {
    megabytes("VmHWM:")
}

/// The memory that it has resident now and that is not of mapped files, in MB.
#[allow(dead_code, reason = "not every example asks")]
pub fn own_memory() -> Outcome {
    megabytes("RssAnon:")
}

fn megabytes(field: &str) -> Outcome {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field)).ok_or_else(|| format!("no {field}"))?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? / 1024.0)
}
