# dotward for Nix: `nix run 'github:dotward/dotward?dir=deploy/nix'`, and a module for NixOS.
{
  description = "DNS forwarder over TLS, HTTPS and QUIC";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in {
      packages = each (pkgs: { default = pkgs.callPackage ./package.nix { }; });
      nixosModules.default = { pkgs, lib, ... }: {
        imports = [ ./module.nix ];
        services.dotward.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.default;
      };
    };
}
