//! Asks a break-glass server for values as fast as it answers, or at a rate, over connections that stay open, for
//! scripts/bench. Requests are signed beforehand, one for each connection, and signed again every two minutes.
//!
//! usage: glass_load ADDRESS KEY SECRET TOKEN REGION CONNECTIONS SECONDS RATE < names, one a line; RATE 0: no limit
//!        glass_load bare   the peer: a server of sockets alone, which answers every request with the same 400 bytes, reads and
//!                          proves nothing, and prints its address

use std::{
    io::BufRead as _,
    time::{Duration, Instant},
};

use lifeboat::{
    clock::{Clock as _, SystemClock},
    serve::client::{Client, Keys, request},
};

/// How long a signed request is sent again: a server believes it for five minutes.
const GOOD_FOR: Duration = Duration::from_secs(120);

/// Latencies of one connection, in nanoseconds from its sending.
struct Seen {
    latencies: Vec<u64>,
    refused: u64,
}

async fn one(address: std::net::SocketAddr, keys: &Keys, region: &str, name: &str, pace: (Instant, Instant, Option<Duration>)) -> Seen {
    let (start, end, every) = pace;
    let mut seen = Seen { latencies: Vec::new(), refused: 0 };
    let mut client = Client::connect(address).await.expect("the server listens");
    let body = format!("{{\"SecretId\":\"{name}\"}}");
    let host = address.to_string();
    let sign = || request(&host, Some(keys), (region, "GetSecretValue"), &body, SystemClock.now());
    let (mut signed, mut since, mut due) = (sign(), Instant::now(), start);
    while Instant::now() < end {
        if let Some(every) = every {
            tokio::time::sleep_until(due.into()).await;
            due += every;
        }
        if since.elapsed() > GOOD_FOR {
            (signed, since) = (sign(), Instant::now());
        }
        let sent = Instant::now();
        let answer = client.send(signed.as_bytes()).await.expect("the server answers");
        seen.latencies.push(u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX));
        seen.refused += u64::from(answer.status != 200);
    }
    seen
}

/// Answers whatever ends with the body that its `content-length` says.
async fn bare(mut stream: tokio::net::TcpStream) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{}", "x".repeat(400));
    let (mut buffer, mut filled) = (vec![0; 16 << 10], 0);
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        filled += read;
        if read == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&buffer[..filled]);
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if filled >= head + 4 + length.unwrap_or(0) {
            stream.write_all(answer.as_bytes()).await?;
            filled = 0;
        }
    }
}

fn peer() -> ! {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("TCP");
            tokio::spawn(bare(stream));
        }
    })
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["bare"] {
        peer();
    }
    let [address, id, secret, token, region, connections, seconds, rate] = &words[..] else { panic!("see the top of this file") };
    let address = address.parse().expect("an address");
    let keys = Keys { id: id.clone(), secret: secret.clone().into(), token: token.clone().into() };
    let names: Vec<String> = std::io::stdin().lock().lines().map_while(Result::ok).collect();
    let connections: u32 = connections.parse().expect("a number");
    let (seconds, rate): (f64, f64) = (seconds.parse().expect("a number"), rate.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    // Tasks live as long as the process.
    let (keys, names): (&'static Keys, &'static [String]) = (Box::leak(Box::new(keys)), names.leak());
    let region: &'static str = region.clone().leak();
    let (mut all, mut refused) = (Vec::new(), 0);
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let start = Instant::now() + Duration::from_millis(50);
        let end = start + Duration::from_secs_f64(seconds);
        let every = (rate > 0.0).then(|| Duration::from_secs_f64(f64::from(connections) / rate));
        let task = |number: u32| {
            // Spread over the interval, not all at once.
            let first = every.map_or(start, |every| start + every * number / connections);
            let name = &names[number as usize % names.len()];
            tokio::task::spawn_local(one(address, keys, region, name, (first, end, every)))
        };
        let tasks: Vec<_> = (0..connections).map(task).collect();
        for task in tasks {
            let seen = task.await.expect("no task panics");
            all.extend(seen.latencies);
            refused += seen.refused;
        }
    });
    all.sort_unstable();
    let at = |share: f64| all.get(((all.len() as f64 * share) as usize).min(all.len().saturating_sub(1))).map_or(0.0, |it| *it as f64 / 1e6);
    println!(
        "{{\"answers\":{},\"refused\":{refused},\"per_second\":{:.0},\"p50_ms\":{:.3},\"p99_ms\":{:.3},\"p999_ms\":{:.3},\"max_ms\":{:.3}}}",
        all.len(),
        all.len() as f64 / seconds,
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
