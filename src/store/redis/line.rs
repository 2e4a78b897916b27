//! One connection to one server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::settings::{Credentials, Place};
use super::trouble;
use crate::store::shared::StoreError;

/// Makes connections of one kind.
#[derive(Debug, Clone)]
pub(super) struct Dial {
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub credentials: Credentials,
    pub database: u32,
    /// The longest that it may take to be connected, and each answer.
    pub timeout: Duration,
}

/// A connection, shared by all who have something to ask. It ends when nobody holds it any more.
#[derive(Debug)]
pub(super) struct Line {
    pub place: Place,
    connection: MultiplexedConnection,
    alive: Arc<AtomicBool>,
    driver: JoinHandle<()>,
}

impl Dial {
    /// Connects and says who asks.
    pub async fn connect(&self, place: &Place) -> Result<Line, StoreError> {
        let away = |why: &dyn std::fmt::Display| StoreError::Away(format!("Redis at {place}: {why}"));
        match tokio::time::timeout(self.timeout, self.reach(place)).await {
            Err(_) => Err(away(&format!("not reached in {:?}", self.timeout))),
            Ok(Err(Failed::Io(error))) => Err(away(&error)),
            Ok(Err(Failed::Told(error))) => Err(trouble::told(&error, place)),
            Ok(Ok(line)) => Ok(line),
        }
    }

    async fn reach(&self, place: &Place) -> Result<Line, Failed> {
        let stream = TcpStream::connect((place.host.as_str(), place.port)).await?;
        stream.set_nodelay(true)?;
        let line = match &self.tls {
            None => self.speak(place, stream).await?,
            Some(tls) => {
                let name = ServerName::try_from(place.host.clone()).map_err(std::io::Error::other)?;
                self.speak(place, TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?).await?
            }
        };
        if let Some(password) = &self.credentials.password {
            let mut auth = redis::cmd("AUTH");
            line.ask::<()>(auth.arg(&self.credentials.user).arg(password)).await?;
        }
        if self.database != 0 {
            line.ask::<()>(redis::cmd("SELECT").arg(self.database)).await?;
        }
        Ok(line)
    }

    async fn speak(
        &self,
        place: &Place,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> RedisResult<Line> {
        let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.timeout));
        let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
        let alive = Arc::new(AtomicBool::new(true));
        let ends = Arc::clone(&alive);
        let driver = tokio::spawn(async move {
            driver.await;
            ends.store(false, Ordering::Release);
        });
        Ok(Line { place: place.clone(), connection, alive, driver })
    }
}

impl Line {
    /// Whether the other end has not hung up yet.
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire) && !self.driver.is_finished()
    }

    /// One question, and its answer.
    pub async fn ask<T: redis::FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        command.query_async(&mut self.connection.clone()).await
    }

    /// One question that the server may leave unanswered for so much longer.
    pub async fn ask_for<T: redis::FromRedisValue>(&self, command: &Cmd, limit: Duration) -> RedisResult<T> {
        let mut connection = self.connection.clone();
        connection.set_response_timeout(limit);
        command.query_async(&mut connection).await
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // It would wait for answers that nobody wants.
        self.driver.abort();
    }
}

enum Failed {
    Io(std::io::Error),
    Told(RedisError),
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<RedisError> for Failed {
    fn from(error: RedisError) -> Self {
        Self::Told(error)
    }
}
