#!/usr/bin/env bash
# Allow a user what orchbridge does in Kafka, and nothing else: `run` by any number of workers, `check`, `cursors`,
# and `replay --to` a prefix below the source's own, such as pe.prod.again.
#
#   PRINCIPAL=User:orchbridge SOURCES="prod dr" ./acls.sh --bootstrap-server kafka-1:9092 --command-config admin.properties
#
# Arguments go to kafka-acls.sh, which must be on the PATH. Names are those of the configuration:
#   PRINCIPAL      whom the brokers take orchbridge for, default User:orchbridge
#   SOURCES        the names of [[sources]], with spaces
#   TOPIC_PREFIX   [sink] topic_prefix, default pe.{source}
#   GROUP          [sink] group, default orchbridge
#   CREATE=yes     where orchbridge shall create its topics itself (create_topics = true)
set -euo pipefail

: "${SOURCES:?names the sources of the configuration, such as SOURCES=\"prod dr\"}"
TOPIC_PREFIX=${TOPIC_PREFIX:-'pe.{source}'}
GROUP=${GROUP:-orchbridge}
PRINCIPAL=${PRINCIPAL:-User:orchbridge}
CREATE=${CREATE:+--operation Create}
ARGUMENTS=("$@")

allow() { # OPERATIONS AND RESOURCE
  kafka-acls.sh "${ARGUMENTS[@]}" --add --allow-principal "$PRINCIPAL" "$@"
}

# The streams' memory, which is also what the workers' group subscribes to.
allow $CREATE --operation Read --operation Write --operation DescribeConfigs --topic "$GROUP.cursors"
# Who shares the streams with whom, and who may write for a stream.
allow --operation Read --group "$GROUP"
allow --operation Write --transactional-id "$GROUP." --resource-pattern-type prefixed
for source in $SOURCES; do
  prefix=${TOPIC_PREFIX//"{source}"/$source}
  # Records; their settings are looked at because a wrong cleanup.policy would lose them.
  allow $CREATE --operation Write --operation DescribeConfigs --topic "$prefix." --resource-pattern-type prefixed
  # What the inventory remembers.
  allow --operation Read --topic "$prefix.node-state"
done
