# services.dotward: the unit of deploy/systemd, with the file made of `settings`.
{ config, lib, pkgs, ... }:
let
  cfg = config.services.dotward;
  format = pkgs.formats.toml { };
in {
  options.services.dotward = {
    enable = lib.mkEnableOption "dotward, a DNS forwarder over TLS";
    package = lib.mkOption {
      type = lib.types.package;
      description = "The program.";
    };
    settings = lib.mkOption {
      type = format.type;
      default = { };
      example = { upstream = [ "quad9" "cloudflare" ]; };
      description = "What is in dotward.toml: docs/configuration.md.";
    };
    useAsResolver = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Whether this machine asks dotward.";
    };
  };

  config = lib.mkIf cfg.enable {
    networking.nameservers = lib.mkIf cfg.useAsResolver [ "127.0.0.1" ];
    environment.etc."dotward/dotward.toml".source = format.generate "dotward.toml" cfg.settings;
    systemd.services.dotward = {
      description = "DNS forwarder over TLS";
      wantedBy = [ "multi-user.target" ];
      wants = [ "nss-lookup.target" ];
      before = [ "nss-lookup.target" ];
      startLimitIntervalSec = 0;
      reloadTriggers = [ config.environment.etc."dotward/dotward.toml".source ];
      serviceConfig = {
        Type = "notify-reload";
        ExecStart = "${cfg.package}/bin/dotward serve";
        Restart = "always";
        RestartSec = "1s";
        RestartPreventExitStatus = "2";
        WatchdogSec = "30s";
        FileDescriptorStoreMax = "256";
        FileDescriptorStorePreserve = "restart";
        KillSignal = "SIGTERM";
        TimeoutStopSec = "10s";
        LimitNOFILE = "8192";
        DynamicUser = "yes";
        AmbientCapabilities = "CAP_NET_BIND_SERVICE";
        CapabilityBoundingSet = "CAP_NET_BIND_SERVICE";
        NoNewPrivileges = "yes";
        RestrictAddressFamilies = "AF_INET AF_INET6 AF_NETLINK AF_UNIX";
        ProtectSystem = "strict";
        ProtectHome = "yes";
        PrivateTmp = "yes";
        PrivateMounts = "yes";
        PrivateDevices = "yes";
        DevicePolicy = "closed";
        ProtectProc = "invisible";
        ProcSubset = "pid";
        UMask = "0077";
        RemoveIPC = "yes";
        ProtectClock = "yes";
        ProtectHostname = "yes";
        ProtectKernelLogs = "yes";
        ProtectKernelModules = "yes";
        ProtectKernelTunables = "yes";
        ProtectControlGroups = "yes";
        RestrictNamespaces = "yes";
        RestrictRealtime = "yes";
        CPUSchedulingPolicy = "batch";
        RestrictSUIDSGID = "yes";
        LockPersonality = "yes";
        MemoryDenyWriteExecute = "yes";
        KeyringMode = "private";
        SystemCallArchitectures = "native";
        SystemCallFilter = [ "@system-service" "~@privileged @resources" ];
        SystemCallErrorNumber = "EPERM";
      };
    };
  };
}
