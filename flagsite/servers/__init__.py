from pathlib import Path
def data_folder(): return Path("/tmp/probe/data")
def database_url(): return "postgresql://flagsite@/flagsite?host=/tmp/probe/sock"
def redis_url(): return "unix:///tmp/probe/valkey.sock?db=0"
