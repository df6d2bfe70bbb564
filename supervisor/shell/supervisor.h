// The imperative shell: turns what the system says into events for core::step and its actions into system calls.
//
// One queue of events, drained in order on the io_context's thread; before an exit or a timer is judged, everything
// that the worker has said by then is heard. One event, and log line, for each transition.
//
// From open() on nothing here waits for a disk. Saves, launches, rescues and looks at the checkpoints are done on one
// other thread, in the order in which the core asked for them, and come back as events; so whatever follows a save in a
// transition and needs it written finds it written, but for a signal, which waits for nobody. What the worker printed
// is read on a thread of its own; incidents, the journal of events and log lines are written on theirs.
//
// Ownership: owns the worker's handle, the sockets and the timer. The io_context, configuration, log and console
// outlive it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/checkpoint/directory.h"
#include "common/checkpoint/directory_lock.h"
#include "common/config/config.h"
#include "common/config/settings.h"
#include "supervisor/api/backend.h"
#include "supervisor/api/http_server.h"
#include "supervisor/api/status.h"
#include "supervisor/core/accounting.h"
#include "supervisor/core/supervision.h"
#include "supervisor/shell/children.h"
#include "supervisor/shell/console.h"
#include "supervisor/shell/directory_facts.h"
#include "supervisor/shell/disk_worker.h"
#include "supervisor/shell/episode_rate.h"
#include "supervisor/shell/events.h"
#include "supervisor/shell/incident_recorder.h"
#include "supervisor/shell/launch_preparation.h"
#include "supervisor/shell/leaving.h"
#include "supervisor/shell/log.h"
#include "supervisor/shell/net.h"
#include "supervisor/shell/notify_receiver.h"
#include "supervisor/shell/ration.h"
#include "supervisor/shell/rescue.h"
#include "supervisor/shell/service_manager.h"
#include "supervisor/shell/spawning.h"
#include "supervisor/shell/state_file.h"
#include "supervisor/shell/state_keeper.h"
#include "supervisor/shell/worker_process.h"

namespace ts::shell {

struct Options {
  std::filesystem::path config_file;
  std::filesystem::path own_program;
  bool fresh = false;
  bool exit_when_done = false;  // leave when the training is finished or cannot go on
};

core::Policy make_policy(const config::Config& config);

class Supervisor final : public api::Backend {
 public:
  Supervisor(asio::io_context& io, config::ConfigFile file, Options options, Log& log, Console& console);
  ~Supervisor() override;

  // Takes the state directory, opens the sockets, and starts or adopts the worker. After an error nothing runs.
  Result<> open();

  // A request to leave: the first lets the worker save and end, the second kills it; one that comes while nothing but a
  // disk is waited for ends that.
  void shut_down();

  // For main, when the io_context has stopped.
  int exit_code() const { return exit_code_; }
  // Then other threads still wait for a disk, and only the end of the process ends them.
  bool left_at_once() const { return left_at_once_; }

  boost::json::object status() override;
  boost::json::object settings() override;
  api::Measures measures() override;
  Result<std::string> start(const api::Peer& peer) override;
  Result<std::string> stop(const api::Peer& peer) override;
  Result<std::string> checkpoint(const api::Peer& peer) override;
  asio::awaitable<Result<std::string>> fresh(const api::Peer& peer) override;
  asio::awaitable<Result<std::string>> restart(const api::Peer& peer, std::optional<std::string> from) override;
  asio::awaitable<Result<api::Reloaded>> reload(const api::Peer& peer) override;
  asio::awaitable<Result<boost::json::object>> incidents(std::size_t limit) override;
  asio::awaitable<Result<boost::json::object>> incident(std::string selector) override;
  asio::awaitable<Result<api::EventPage>> events(api::EventQuery query) override { return events_->answer(query); }
  api::Changes& event_changes() override { return events_->changes(); }
  asio::awaitable<Result<api::OutputPage>> newest_output(std::size_t limit) override;
  asio::awaitable<Result<api::OutputPage>> output_after(api::OutputPlace since) override;
  std::filesystem::path output_file() const override { return worker_log(); }
  void turned_away(const api::Peer& peer, const std::string& what) override;
  void cut_off(const api::Peer& peer, const std::string& what, const std::string& place) override;

 private:
  void tell(api::EventType type, api::EventLevel level, std::string message, boost::json::object details = {});
  void tell_start();
  void tell_transition(core::Phase before, const core::Transition& transition);
  void tell_launch(const core::LaunchPrepared& launch);
  void tell_checkpoint();
  void tell_incident(const IncidentReport& report, const std::string& where);
  void tell_request(const api::Peer& peer, const std::string& what, const std::string& refusal = {});
  Error refuse(const api::Peer& peer, const std::string& what, Error why);
  asio::awaitable<std::string> keep_wish(std::string sentence);
  void post(core::Event event);
  void handle(const core::Event& event);
  void perform(const core::PrepareLaunch& action);
  void perform(const core::SpawnWorker& action);
  void perform(const core::SignalWorker& action);
  void perform(const core::InspectWorker& action);
  void perform(const core::GatherEvidence& action);
  void perform(const core::RescueSnapshot& action);
  void perform(const core::RecordIncident& action);
  void perform(const core::SaveState& action);
  void perform(const core::LeaveDaemon&);
  Memory remember();
  void write_config();
  void listen_on_tcp();
  void put_in_force(const config::ConfigFile& file);
  void draw_waiting();
  void launch_settled(const core::PrepareLaunch& action, LaunchPlan plan);
  Spawned start_worker(const WorkerCommand& command, const config::Logging& logging);
  void spawn_settled();
  void settle_spawn();
  core::Event watch_spawned(Spawned spawned);
  bool hear(Notification& said);
  void note_status(const std::string& status, bool trouble);
  void hold_snapshot(Notification& said);
  void forget_filed_best();
  void looked_at(std::int64_t attempt, const core::HostSample& before, core::Instant when);
  IncidentReport report_on(std::int64_t attempt, pid_t pid, core::Cause cause, const std::string& what) const;
  EvidenceRequest evidence_of(const ProcessIdentity& worker) const;
  void worker_ended(std::int64_t attempt, const WorkerEnd& end);
  void hear_last_words(std::int64_t attempt, const core::ExitStatus& status);
  void refresh_facts();
  void facts_arrived(DirectoryFacts facts);
  void judge_exactness();
  void begin_run();
  void keep_accounts(const core::Vantage& before, const core::Event& event, core::Transition& after,
                     core::Instant moment);
  RememberedAccounts remember_accounts() const;
  void recall_accounts(const Memory& memory);
  void note_checkpoints(const std::string& since);
  void keep_what_was_learned();
  void arm_timer();
  void leave_if_done();
  void begin_leaving();
  void leave_at_once();
  void say_goodbye();
  void end_conversations();
  bool adopt_survivor(const Memory& memory);
  bool adopt(const UnrecordedWorker& found);
  void watch_adopted(std::unique_ptr<WorkerProcess> worker, core::WorkerAdopted how, std::uint64_t log_size);
  OwnLaunches own_launches() const;
  void forget_worker();
  void bound_worker_log();
  std::filesystem::path worker_log() const { return config_->logging.directory / "worker.log"; }
  api::Status view() const;
  Result<> refuse_if_leaving() const;
  asio::awaitable<Result<api::OutputPage>> read_output(std::function<Result<api::OutputPage>()> read);
  static core::Instant now();

  asio::io_context& io_;
  // What is in force. Other threads keep the one that they began with.
  std::shared_ptr<const config::Config> config_;
  std::map<std::string, config::Place, std::less<>> places_;  // of its values in the file
  std::filesystem::path worker_config_;                       // the file with those values that workers are given
  Options options_;
  Log& log_;
  Console& console_;
  core::Policy policy_;

  std::optional<checkpoint::Directory> state_directory_;
  std::string state_path_;  // of the same, as workers are told
  std::string state_id_;
  std::optional<std::int64_t> unknown_from_;  // OwnLaunches has the meaning
  std::optional<checkpoint::DirectoryLock> lock_;
  core::State state_;
  std::string run_id_;
  std::optional<bool> exact_;
  std::optional<checkpoint::Sidecar> resumed_;  // the checkpoint that this attempt resumes from
  std::deque<core::Event> queue_;
  bool draining_ = false;
  bool leaving_ = false;
  bool left_ = false;  // all is done but to let others hear of it
  bool refused_by_lock_ = false;
  std::string interruption_;  // what ended the last worker together with its supervisor
  bool unsaved_end_ = false;  // what the last worker could not save before it ended is not saved
  std::optional<core::Instant> shutdown_asked_;
  std::unique_ptr<Leaving> leave_;
  bool left_at_once_ = false;
  int exit_code_ = 0;

  Children children_;
  std::unique_ptr<Events> events_;
  ServiceManager service_;
  std::unique_ptr<NotifyReceiver> receiver_;
  std::unique_ptr<api::HttpServer> server_;
  std::shared_ptr<Spawning> spawning_;  // the worker in the making
  std::unique_ptr<WorkerProcess> worker_;
  core::Instant spawned_{0};
  std::string launched_for_;      // the reason of the state in which this attempt was prepared
  std::uint64_t log_offset_ = 0;  // where this attempt's output begins
  std::optional<core::Instant> last_beat_;
  struct Heard {
    std::chrono::system_clock::time_point time;
    protocol::NotifyMessage message;
  };
  std::deque<Heard> beats_;                           // the last ones of this attempt
  std::shared_ptr<HeldSnapshot> held_;                // the newest that was announced, until it is durable or of no use
  std::optional<core::SilenceVerdict> last_verdict_;  // of the last look at this attempt
  ProcessIdentity last_worker_;
  std::optional<std::int64_t> words_awaited_;  // of this attempt, before its end is judged
  core::ExitStatus exit_;                      // of the last worker
  std::uint64_t log_end_ = 0;                  // where its output ends; 0: not known
  std::int64_t reached_ = 0;                   // its last completed episode
  bool log_trouble_told_ = false;
  std::string last_status_;         // said once, however often it is sent
  bool worker_in_trouble_ = false;  // as its last STATUS= said
  Ration statuses_{30};
  Ration checkpoints_{60};
  Ration turned_away_{10};
  EpisodeRate rate_;
  DirectoryFacts facts_;
  core::Instant facts_asked_at_{0};  // by whoever measures
  core::Accounts accounts_;
  core::Instant saved_{0};  // when the state was last to be made durable
  core::Instant kept_{0};   // when it was last to be written at all
  api::Histogram stall_;
  api::Histogram durable_;
  std::array<std::uint64_t, 4> rescues_{};  // by Rescue::Outcome
  std::atomic<bool> facts_asked_ = false;
  asio::steady_timer timer_;
  asio::steady_timer look_timer_;
  asio::steady_timer words_timer_;
  asio::steady_timer log_timer_;
  asio::steady_timer draw_timer_;
  asio::steady_timer goodbye_timer_;
  std::unique_ptr<IncidentRecorder> recorder_;
  std::unique_ptr<StateKeeper> keeper_;
  std::shared_ptr<void> output_reads_ = std::make_shared<int>();  // its copies: reads of the log that are under way
  DiskWorker log_reader_;
  DiskWorker disk_;
};

}  // namespace ts::shell
