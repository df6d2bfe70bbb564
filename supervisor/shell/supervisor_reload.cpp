// The configuration while the supervisor runs: what is in force, and reading the file again.
#include <memory>
#include <string>
#include <utility>

#include "common/base/text.h"
#include "common/config/load.h"
#include "supervisor/api/settings.h"
#include "supervisor/shell/config_in_force.h"
#include "supervisor/shell/supervisor.h"

namespace ts::shell {

boost::json::object Supervisor::settings() {
  return api::settings_document(options_.config_file.string(), config::settings_of({*config_, places_}));
}

// At the start a worker can do with the file itself: it has just been read.
void Supervisor::write_config() {
  auto written = write_config_in_force(*state_directory_, *config_, options_.config_file);
  worker_config_ = written ? *written : options_.config_file;
  if (!written) {
    tell(api::EventType::config, api::EventLevel::warn,
         written.error().message + " Workers are launched with " + escape_control(options_.config_file.string()) +
             " instead: what is edited there counts at the next launch.");
  }
}

// All or nothing: a file that is wrong, or cannot be written down for the workers, changes nothing.
asio::awaitable<Result<api::Reloaded>> Supervisor::reload(const api::Peer& peer) {
  if (const auto refused = refuse_if_leaving(); !refused) co_return refuse(peer, "reload", refused.error());
  const std::string name = escape_control(options_.config_file.string());
  const auto running = config_;
  co_await asio::post(asio::bind_executor(disk_.executor(), asio::use_awaitable));
  const auto file = disk_.named("reading " + name, [&]() -> Result<config::ConfigFile> {
    auto loaded = config::load_config_file(options_.config_file);
    if (!loaded) return loaded;
    const auto written =
        write_config_in_force(*state_directory_, config::reloaded(*running, loaded->config), options_.config_file);
    if (!written) return written.error();
    return loaded;
  });
  co_await asio::post(asio::bind_executor(io_, asio::use_awaitable));
  if (!file) {
    co_return refuse(
        peer, "reload",
        make_error(file.error().kind, name + " was not reloaded, and nothing was changed:\n" + file.error().message));
  }
  api::Reloaded done;
  done.changes = config::changes_between(*config_, file->config);
  done.message = api::what_reload_did(name, done.changes);
  put_in_force(*file);
  tell_request(peer, "reload");
  tell(api::EventType::config, api::EventLevel::info, done.message, {{"changes", api::changes_document(done.changes)}});
  co_return done;
}

void Supervisor::put_in_force(const config::ConfigFile& file) {
  config_ = std::make_shared<const config::Config>(config::reloaded(*config_, file.config));
  places_ = file.places;
  worker_config_ = state_directory_->path() / "config.yaml";
  // A worker that was launched without heartbeats, or with slower ones, is held to what it was told.
  const core::Duration heartbeat_timeout = policy_.heartbeat_timeout;
  policy_ = make_policy(*config_);
  if (state_.is_occupied()) policy_.heartbeat_timeout = heartbeat_timeout;
  log_.set_level(config_->logging.level);
  events_->replace_hook(config_->hooks.on_event);
}

}  // namespace ts::shell
