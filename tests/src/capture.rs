//! What crossed the links: recorded by dumpcap, examined by tshark.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{clock, command, inject::Injector, temporary, topology::Link};

/// Recordings under way, one for each link.
#[derive(Debug)]
pub struct Capture {
    recorders: Vec<Recorder>,
    directory: TempDir,
}

impl Capture {
    /// Starts to record links; every frame from now on is seen.
    ///
    /// # Errors
    ///
    /// If dumpcap does not start.
    pub fn start(links: &[Link<'_>]) -> Result<Self> {
        let directory = temporary::directory("capture")?;
        let mut recorders = Vec::new();
        for link in links {
            recorders.push(Recorder::start(link, directory.path())?);
        }
        for recorder in &mut recorders {
            recorder.wait_ready()?;
        }
        Ok(Self { recorders, directory })
    }

    /// Ends the recordings, once all that has crossed the links is written.
    ///
    /// # Errors
    ///
    /// If a recorder failed or lost frames.
    pub fn stop(mut self) -> Result<Recording> {
        for recorder in &self.recorders {
            recorder.flush()?;
        }
        let mut files = Vec::new();
        for recorder in &mut self.recorders {
            recorder.stop()?;
            files.push((recorder.link.clone(), recorder.file.clone()));
        }
        Ok(Recording { files, _directory: self.directory })
    }

    /// Number of frames that match a display filter on a link, as far as they are written out.
    ///
    /// # Errors
    ///
    /// If tshark fails or the link is unknown.
    pub fn count(&self, link: &str, filter: &str) -> Result<usize> {
        let recorder = self.recorders.iter().find(|recorder| recorder.link == link);
        let recorder = recorder.with_context(|| format!("{link} is not recorded"))?;
        Ok(matching(&recorder.file, filter)?.lines().count())
    }
}

/// A finished recording of links.
#[derive(Debug)]
pub struct Recording {
    files: Vec<(String, PathBuf)>,
    _directory: TempDir,
}

impl Recording {
    /// Frames with a wrong IP, TCP, UDP or ICMP checksum on any link, described in a line each.
    ///
    /// # Errors
    ///
    /// If tshark fails.
    pub fn bad_checksums(&self) -> Result<Vec<String>> {
        self.find(BAD_CHECKSUM)
    }

    /// Frames that match a display filter, on all links; a line each that starts with the link.
    ///
    /// # Errors
    ///
    /// If tshark fails.
    pub fn find(&self, filter: &str) -> Result<Vec<String>> {
        let found: Vec<Result<Vec<String>>> = thread::scope(|scope| {
            let searches = self.files.iter().map(|(link, _)| scope.spawn(|| self.find_on(link, filter)));
            let searches: Vec<_> = searches.collect();
            searches
                .into_iter()
                .map(|search| search.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        Ok(found.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    /// As [`Self::find`], on one link.
    ///
    /// # Errors
    ///
    /// If tshark fails.
    pub fn find_on(&self, link: &str, filter: &str) -> Result<Vec<String>> {
        let prefix = format!("{link}: ");
        let (_, file) = self.files.iter().find(|(name, _)| name == link).context("no such link")?;
        Ok(matching(file, filter)?.lines().map(|line| format!("{prefix}{}", line.trim())).collect())
    }

    /// Fields of the frames that match a display filter on a link, a list for each frame.
    ///
    /// # Errors
    ///
    /// If tshark fails.
    pub fn fields(&self, link: &str, filter: &str, names: &[&str]) -> Result<Vec<Vec<String>>> {
        let (_, file) = self.files.iter().find(|(name, _)| name == link).context("no such link")?;
        let file = file.to_string_lossy();
        let mut args = vec!["-n", "-r", &file, "-Y", filter, "-T", "fields"];
        args.extend(names.iter().flat_map(|name| ["-e", name]));
        let lines = command::run("tshark", &args)?;
        Ok(lines.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    /// Number of frames recorded on each link.
    ///
    /// # Errors
    ///
    /// If capinfos fails.
    pub fn frames(&self) -> Result<Vec<(&str, u64)>> {
        let mut counts = Vec::new();
        for (link, file) in &self.files {
            // -r: no header, -T: a table, -M: plain numbers, -c: the number of packets.
            let line = command::run("capinfos", &["-rTMc", &file.to_string_lossy()])?;
            let count = line.split_whitespace().next_back().and_then(|number| number.parse().ok());
            counts.push((link.as_str(), count.with_context(|| format!("capinfos says {line:?}"))?));
        }
        Ok(counts)
    }
}

/// A display filter for wrong checksums. Two exceptions: what an ICMP error quotes is cut off, so that its TCP or UDP checksum
/// cannot be verified; and in one's complement 0xffff is the other zero, which Linux itself sends and only tshark minds.
const BAD_CHECKSUM: &str = "ip.checksum.status == 0 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0 || \
    (udp.checksum.status == 0 && !icmp && !icmpv6) || (tcp.checksum.status == 0 && !icmp && !icmpv6 && \
    !(tcp.checksum == 0xffff && tcp.checksum_calculated == 0))";

fn matching(file: &Path, filter: &str) -> Result<String> {
    let file = file.to_string_lossy();
    let mut args = vec!["-n", "-r", &file, "-Y", filter];
    // tshark takes these for granted otherwise, because of offloading.
    for option in ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE"] {
        args.extend(["-o", option]);
    }
    command::run("tshark", &args)
}

/// One dumpcap.
#[derive(Debug)]
struct Recorder {
    link: String,
    file: PathBuf,
    process: Child,
    injector: Injector,
}

/// A frame of an ethertype for local experiments (IEEE 802) that means nothing to anyone: the last one of a recording.
const LAST_FRAME: &[u8] =
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x01\x88\xb5the last frame of this recording; there is no more.";

impl Recorder {
    fn start(link: &Link<'_>, directory: &Path) -> Result<Self> {
        let file = directory.join(format!("{}.pcap", link.name));
        let mut command = Command::new("dumpcap");
        command.args(["-q", "-P", "-B", "64", "-i", link.interface, "-w"]).arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let injector = Injector::open(link.netns, link.interface)?;
        Ok(Self { link: link.name.to_owned(), file, process: link.netns.spawn(&mut command)?, injector })
    }

    /// Sends a last frame and waits until it is in the file: dumpcap reads and writes in blocks, and would drop the last one.
    fn flush(&self) -> Result<()> {
        self.injector.send(LAST_FRAME)?;
        let what = format!("the recording of {} to be written", self.link);
        clock::wait_until(&what, Duration::from_secs(10), || {
            self.tail().is_ok_and(|tail| holds(&tail, LAST_FRAME))
        })
    }

    /// The end of the file, long enough for what may follow the last frame.
    fn tail(&self) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.file)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(1 << 16)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        Ok(tail)
    }

    /// dumpcap names its file once the interface is open.
    fn wait_ready(&mut self) -> Result<()> {
        let pipe = self.process.stderr.as_mut().context("dumpcap has no standard error")?;
        let mut said = String::new();
        // Unbuffered beyond the line: what follows is read by `stop`.
        let mut lines = BufReader::with_capacity(1, pipe);
        while lines.read_line(&mut said)? > 0 {
            if said.contains("File: ") {
                return Ok(());
            }
        }
        bail!("dumpcap on {} ended: {said}", self.link)
    }

    fn stop(&mut self) -> Result<()> {
        kill(Pid::from_raw(self.process.id().try_into()?), Signal::SIGINT).context("dumpcap is gone")?;
        let mut said = String::new();
        if let Some(pipe) = self.process.stderr.take() {
            BufReader::new(pipe).read_to_string(&mut said)?;
        }
        let status = self.process.wait()?;
        // "Packets received/dropped on interface 'eth0': 10/0 (pcap:0/dumpcap:0/flushed:0/ps_ifdrop:0) (100.0%)"
        let lost = said.lines().find(|line| line.contains("received/dropped") && !line.contains("/0 ("));
        if let Some(line) = lost {
            bail!("the recording of {} is not complete: {line}", self.link);
        }
        if !status.success() {
            bail!("dumpcap on {} ended with {status}: {said}", self.link);
        }
        Ok(())
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
