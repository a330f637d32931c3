{ lib, rustPlatform }:
let
  source = ../..;
  manifest = builtins.fromTOML (builtins.readFile (source + "/Cargo.toml"));
in rustPlatform.buildRustPackage {
  pname = manifest.package.name;
  version = manifest.package.version;
  src = lib.cleanSource source;
  cargoLock.lockFile = source + "/Cargo.lock";
  buildFeatures = [ "full" ];
  # The tests bind loopback addresses, which the sandbox has; some of those that measure time do not like a machine that is busy building.
  doCheck = false;
  postInstall = ''
    install -Dm644 deploy/dotward.toml -t $out/share/doc/dotward/
  '';
  meta = {
    description = manifest.package.description;
    homepage = manifest.package.repository;
    license = with lib.licenses; [ mit asl20 ];
    mainProgram = "dotward";
    platforms = lib.platforms.unix;
  };
}
