#!/usr/bin/env bash
# Create the topics that orchbridge writes to, with the settings that it needs: for clusters where it may not
# (create_topics = false). What is there already stays as it is; `orchbridge check` tells what is wrong with it.
#
#   SOURCES="prod dr" ./topics.sh --bootstrap-server kafka-1:9092 --command-config admin.properties
#
# Arguments go to kafka-topics.sh, which must be on the PATH. Names are those of the configuration:
#   SOURCES        the names of [[sources]], with spaces
#   TOPIC_PREFIX   [sink] topic_prefix, default pe.{source}
#   GROUP          [sink] group, default orchbridge
#   PARTITIONS     of the record topics, default 12
#   REPLICATION    default 3; with 3, min.insync.replicas is set to 2
set -euo pipefail

: "${SOURCES:?names the sources of the configuration, such as SOURCES=\"prod dr\"}"
TOPIC_PREFIX=${TOPIC_PREFIX:-'pe.{source}'}
GROUP=${GROUP:-orchbridge}
PARTITIONS=${PARTITIONS:-12}
REPLICATION=${REPLICATION:-3}

DAY_MS=86400000
SMALL=(segment.ms=600000 segment.bytes=16777216 min.cleanable.dirty.ratio=0.01) # or reading memory back takes ever longer

create() { # NAME PARTITIONS SETTING...
  local name=$1 partitions=$2 setting
  local settings=()
  shift 2
  if [ "$REPLICATION" -ge 3 ]; then settings+=(--config min.insync.replicas=2); fi
  for setting in "$@"; do settings+=(--config "$setting"); done
  kafka-topics.sh "${ARGUMENTS[@]}" --create --if-not-exists --topic "$name" --partitions "$partitions" \
    --replication-factor "$REPLICATION" "${settings[@]}"
}

ARGUMENTS=("$@")
# The streams' memory. Its 48 partitions are how workers share the streams: no other number will do.
create "$GROUP.cursors" 48 cleanup.policy=compact "${SMALL[@]}"
for source in $SOURCES; do
  prefix=${TOPIC_PREFIX//"{source}"/$source}
  for channel in jobs job-events plans reachability audit quarantine notices; do
    create "$prefix.$channel" "$PARTITIONS" cleanup.policy=delete "retention.ms=$((35 * DAY_MS))"
  done
  create "$prefix.heartbeat" 1 cleanup.policy=delete "retention.ms=$DAY_MS" "segment.ms=$((DAY_MS / 4))"
  create "$prefix.job-state" "$PARTITIONS" cleanup.policy=compact,delete "retention.ms=$((35 * DAY_MS))" "${SMALL[@]}"
  create "$prefix.node-state" "$PARTITIONS" cleanup.policy=compact "${SMALL[@]}"
done
