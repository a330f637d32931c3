# dotward for Homebrew: brew install --HEAD ./deploy/homebrew/dotward.rb, or from a tap. `brew services` runs it by launchd.
class Dotward < Formula
  desc "DNS forwarder over TLS, HTTPS and QUIC"
  homepage "https://github.com/dotward/dotward"
  url "https://github.com/dotward/dotward.git", tag: "v0.1.0"
  license any_of: ["MIT", "Apache-2.0"]
  head "https://github.com/dotward/dotward.git", branch: "main"

  depends_on "rust" => :build

  def install
    system "cargo", "install", "--features", "full", *std_cargo_args
    (etc/"dotward").install "deploy/dotward.toml"
    doc.install Dir["docs/*.md"]
  end

  service do
    run [opt_bin/"dotward", "serve", "--config", etc/"dotward/dotward.toml"]
    require_root true
    keep_alive true
    error_log_path var/"log/dotward.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/dotward --version")
    system bin/"dotward", "check", "--listen", "127.0.0.1:5300"
  end
end
